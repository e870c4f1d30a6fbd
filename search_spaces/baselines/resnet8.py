"""ResNet-8: three stages of one block, 16, 32 and 64 channels wide.

The shortcuts that change the shape are 1x1 projections. The stem halves images of more than 56 pixels.
"""

from optuna.trial import BaseTrial

from nas.space import DataInfo, Proposal
from search_spaces.parts.training import standard_training
from search_spaces.residual import ResidualNetwork, stem_halvings


def suggest(trial: BaseTrial, data: DataInfo) -> Proposal:
    """The network; any image size will do."""
    architecture = ResidualNetwork(
        stem_kernel=3,
        stem_halvings=stem_halvings(data),
        widths=(16, 32, 64),
        blocks_per_stage=1,
        block="plain",
        reduction=None,
        separable=False,
        squeeze_excitation=False,
        downsampling="stride",
        fc_units=(),
        dropout=0.0,
        initialisation="he",
    )
    return Proposal(architecture, standard_training(data))
