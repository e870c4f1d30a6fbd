"""Two hidden layers of 512 units."""

from optuna.trial import BaseTrial

from nas.space import DataInfo, Proposal
from search_spaces.mlp import Mlp
from search_spaces.shared.training import standard_training


def suggest(trial: BaseTrial, data: DataInfo) -> Proposal:
    """The network; any image size will do."""
    architecture = Mlp(fc_units=(512, 512), batch_norm=False, dropout=0.0, initialisation="he")
    return Proposal(architecture, standard_training(data))
