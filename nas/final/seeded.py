"""A proposal that is trained on several seeds, and the search space that proposes it.

The number of the seed is one more parameter of a trial. It changes digest and seed, so that a study trains
the same network more than once; the worker, which rebuilds the network, does not look at it.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

from nas.space import DataInfo, Proposal
from nas.space.load import Space

if TYPE_CHECKING:
    from optuna.trial import BaseTrial

SEED = "nas:seed"
"""The parameter: 0 for the first seed."""

MOST_SEEDS = 2**31


@dataclass(frozen=True)
class SeededProposal(Proposal):
    """A proposal with one of its seeds."""

    number: int = 0

    @property
    def digest(self) -> str:
        content = f"{super().digest}:{self.number}"
        return hashlib.sha256(content.encode()).hexdigest()


@dataclass(frozen=True)
class SeededSpace(Space):
    """A search space whose proposals come with the number of a seed."""

    @classmethod
    def of(cls, space: Space) -> SeededSpace:
        return cls(**{each.name: getattr(space, each.name) for each in fields(space)})

    def suggest(self, trial: BaseTrial, data: DataInfo) -> SeededProposal:
        number = trial.suggest_int(SEED, 0, MOST_SEEDS)
        proposal = super().suggest(trial, data)
        return SeededProposal(proposal.architecture, proposal.training, number)
