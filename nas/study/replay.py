"""A trial's proposal, made again: its search space replayed on its parameters, and never guessed.

The space is known by its content, wherever its file lies now; and no file is run because a database names it.
"""

from __future__ import annotations

import warnings

from optuna.trial import FixedTrial

from nas.errors import NasError, StudyError
from nas.space import DataInfo, Proposal
from nas.space.load import Space, is_file, load_space
from nas.space.user_files import UserFiles
from nas.study.reader import StudyReader
from nas.study.records import TrialRecord


def space_of(store: StudyReader) -> Space:
    """The search space of a study, or of a baseline's, with the training settings that it fixes; of our own
    spaces the version that the study was made with.

    Raises:
        StudyError: its file is gone, or this user has not run it as it is now and does not name it either.
        NasError: it cannot be loaded.
    """
    named, stored = store.named_space, store.recipe.space
    if named is None:
        space = load_space(space_now(store), named=False)
        return space.of_version(store.space_version).fixing(store.recipe.fixed)
    space = load_space(named)
    if not (is_file(stored) and space.user) and space.source != stored:
        raise StudyError(f"Study {store.name!r} was made with search space {stored}, not with {named}.")
    return space.of_version(store.space_version).fixing(store.recipe.fixed)


def space_now(store: StudyReader) -> str:
    """What finds the search space of a study: its file may have moved together with the study's folder."""
    stored = store.recipe.space
    if not is_file(stored):
        return stored
    found = store.where_now(stored)
    moved = found.is_file() and str(found) != stored
    return str(found) if moved and UserFiles.read(found).digest == store.space_digest else stored


def is_space_of(store: StudyReader, space: Space) -> bool:
    """Whether a study was made with this space: by its name or its path; else by the content of its file; or
    by what it proposes, in a study from before contents were stored."""
    stored = store.recipe.space
    if space.source == stored:
        return True
    if not (is_file(stored) and space.user):
        return False
    if store.space_digest is not None:
        return space.digest == store.space_digest
    space = space.fixing(store.recipe.fixed)
    try:
        for record in store.trials():
            if record.digest is not None:
                rebuild(store, record, space, store.info)
    except NasError:
        return False
    return space.version == store.space_version


def rebuild(store: StudyReader, record: TrialRecord, space: Space, info: DataInfo) -> Proposal:
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
