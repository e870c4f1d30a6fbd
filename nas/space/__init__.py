"""What a search space is: the contract that its file keeps, how it is found, and its parameters."""

from nas.space.contract import (
    AUGMENTATIONS,
    Architecture,
    DataInfo,
    Optimizer,
    Proposal,
    Schedule,
    Training,
    added,
    in_words,
    override,
)

__all__ = [
    "AUGMENTATIONS",
    "Architecture",
    "DataInfo",
    "Optimizer",
    "Proposal",
    "Schedule",
    "Training",
    "added",
    "in_words",
    "override",
]
