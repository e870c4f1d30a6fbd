"""ResNet-8: three stages of one block, 16, 32 and 64 channels wide.

The shortcuts that change the shape are 1x1 projections. The stem halves images of more than 56 pixels.
"""

from optuna.trial import BaseTrial

from nas.space import DataInfo, Proposal
from search_spaces.baselines.resnet20 import resnet
from search_spaces.shared.training import standard_training


def suggest(trial: BaseTrial, data: DataInfo) -> Proposal:
    """The network; any image size will do."""
    return Proposal(resnet(data, blocks_per_stage=1), standard_training(data))
