"""A trial's proposal, made again: its search space replayed on its parameters, and never guessed."""

from __future__ import annotations

import warnings

from optuna.trial import FixedTrial

from nas.errors import NasError, StudyError
from nas.plugins import Space
from nas.space import DataInfo, Proposal
from nas.study.records import TrialRecord
from nas.study.stored import StoredStudy


def rebuild(store: StoredStudy, record: TrialRecord, space: Space, info: DataInfo) -> Proposal:
    """The proposal of a trial of `store`, by the space with the training settings that the study fixes.

    Raises:
        StudyError: the search space has changed since, so that it no longer makes this proposal.
    """
    try:
        with warnings.catch_warnings():  # of a value out of its range: the digest tells what came of it
            warnings.filterwarnings("ignore", module="optuna")
            proposal = space.suggest(FixedTrial(record.params), info)
        if record.digest in (None, proposal.digest):
            return proposal
    except NasError as error:
        if not isinstance(error.__cause__, ValueError):  # Optuna's word for a parameter that is missing
            raise
    raise StudyError(
        f"Trial {record.number} of {store.name!r} cannot be rebuilt: search space {space.name!r}"
        f" has changed since (then version {store.space_version}, now {space.version})."
    )
