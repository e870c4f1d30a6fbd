"""As cnn_400, with a 1x1 bottleneck to 10 maps before a fully connected layer of 200 units."""

from optuna.trial import BaseTrial

from nas.space import DataInfo, Proposal
from search_spaces.cnn_fc import CnnFc
from search_spaces.shared.training import standard_training


def suggest(trial: BaseTrial, data: DataInfo) -> Proposal:
    """The network; any image size will do."""
    architecture = CnnFc(
        filters=(32, 64),
        convs_per_stage=1,
        kernel_size=3,
        downsampling="max_pool",
        batch_norm=False,
        bottleneck=10,
        fc_units=(200,),
        dropout=0.0,
        initialisation="he",
    )
    return Proposal(architecture, standard_training(data))
