"""The network of a trial that is stored: of a search, or one that was trained for the final model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nas.errors import NasError, first_line
from nas.final.seeded import SEED, SeededSpace
from nas.space import Proposal
from nas.space.load import Space
from nas.space.user_code import aside
from nas.study.reader import StudyReader
from nas.study.records import TrialRecord
from nas.study.replay import rebuild, space_of

if TYPE_CHECKING:
    from torch import nn

    from nas.network.layers import LayerTable


def proposal_of(store: StudyReader, record: TrialRecord) -> tuple[Space, Proposal]:
    """The search space of a trial, and what it proposes when it is replayed on the trial's parameters.

    Raises:
        StudyError: the search space has changed since, so that it no longer makes this proposal.
        NasError: the space cannot be loaded.
    """
    space = space_of(store)
    if SEED in record.params:  # trained for the final model, on several seeds
        space = SeededSpace.of(space)
    return space, rebuild(store, record, space, store.info)


def network_of(store: StudyReader, record: TrialRecord, seed: int | None = None) -> nn.Module:
    """The network of a trial with the weights that its training began with.

    Args:
        seed: of a training that is not the trial's own.

    Raises:
        StudyError, NasError: as `proposal_of`.
    """
    space, proposal = proposal_of(store, record)
    model: nn.Module = space.build(proposal, store.info, record.seed or 0 if seed is None else seed)
    return model


def layers_of(store: StudyReader, record: TrialRecord) -> LayerTable:
    """The network of a trial layer by layer, followed without memory for its weights where that can be.

    Raises:
        NasError: it cannot be rebuilt, or not be followed.
    """
    from nas.memory.plan import build_without_memory
    from nas.network.layers import layer_table

    try:
        with aside():  # its forward may print
            return layer_table(build_without_memory(lambda: network_of(store, record)), store.info.shape)
    except NasError:
        raise
    except Exception as error:  # the code may be the author's
        raise NasError(f"The layers cannot be shown: {first_line(error)}") from error
