"""ResNet-20: three stages of three blocks, 16, 32 and 64 channels wide (He et al. 2015, arXiv 1512.03385).

The shortcuts that change the shape are 1x1 projections. The stem halves images of more than 56 pixels.
"""

from optuna.trial import BaseTrial

from nas.space import DataInfo, Proposal
from search_spaces.residual import ResidualNetwork, stem_halvings
from search_spaces.shared.training import standard_training


def suggest(trial: BaseTrial, data: DataInfo) -> Proposal:
    """The network; any image size will do."""
    return Proposal(resnet(data, blocks_per_stage=3), standard_training(data))


def resnet(data: DataInfo, blocks_per_stage: int) -> ResidualNetwork:
    """Of 6 x `blocks_per_stage` + 2 layers with weights, projections apart."""
    return ResidualNetwork(
        stem_kernel=3,
        stem_halvings=stem_halvings(data),
        widths=(16, 32, 64),
        blocks_per_stage=blocks_per_stage,
        block="plain",
        reduction=None,
        separable=False,
        squeeze_excitation=False,
        downsampling="stride",
        fc_units=(),
        dropout=0.0,
        initialisation="he",
    )
