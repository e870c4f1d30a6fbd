"""What a search space is: the contract that its file keeps, how it is found, and its parameters."""

from nas.space.contract import (
    AUGMENTATIONS,
    COLOURS,
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
    "COLOURS",
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
