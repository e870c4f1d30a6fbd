"""From a name to a search space: a shipped module, an entry point of another distribution, or a file.

Baselines are spaces with nothing left to sample. `nas.machine.plugins` finds both.
"""

from __future__ import annotations

import threading
import warnings
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from nas.errors import BrokenFile, InvalidSetting, NasError, StorageError, StudyError, UnknownName, text_of
from nas.machine.files import expanded
from nas.machine.plugins import BASELINES, SPACES, Plugins
from nas.space import DataInfo, Proposal, override
from nas.space.user_code import UserModule, aside, at_work, seeded
from nas.space.user_files import UserFiles

if TYPE_CHECKING:
    from optuna.trial import BaseTrial


EARLIER = Plugins("earlier version", "search_spaces.earlier", None)
"""Our own spaces as they were, by name and version."""


@dataclass(frozen=True)
class Space:
    """A search space that was found and imported."""

    name: str
    source: str
    """What finds it again: its name, or the absolute path of its file."""
    version: int
    summary: str
    module: ModuleType
    training: Mapping[str, Any] = field(default_factory=dict)
    """Training settings that are fixed, whatever it proposes."""
    user: UserModule | None = None
    """Of a space that is a file."""

    @property
    def digest(self) -> str | None:
        """Of its file and the files beside it that it imports; None for a known space."""
        return self.user.files.digest if self.user else None

    def fixing(self, training: Mapping[str, Any]) -> Space:
        """This space, with some training settings fixed."""
        return replace(self, training=dict(training))

    def of_version(self, version: int) -> Space:
        """One of our own spaces as it was, so that what it proposed then is made again; any other is as it is
        now."""
        name = f"{self.name}_{version}"
        if version == self.version or self.is_theirs or name not in EARLIER.shipped():
            return self
        return replace(self, version=version, module=EARLIER.find(name))

    def starts(self, data: DataInfo) -> list[dict[str, Any]] | None:
        """The parameters of proposals that its author knows to do well, cheapest first; None where the space
        says nothing of any.

        Raises:
            BrokenFile: `starts` failed, or returned what `suggest` does not replay.
        """
        function = getattr(self.module, "starts", None)
        if function is None:
            return None
        found = self._call(function, data)
        if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
            raise BrokenFile(f"{self.file}: starts() must return a list of dicts, one for each proposal.")
        return [self._replayed(number, params, data) for number, params in enumerate(found)]

    def _replayed(self, number: int, params: dict[str, Any], data: DataInfo) -> dict[str, Any]:
        """Those of the parameters that the space asks for."""
        from optuna.trial import FixedTrial

        trial = FixedTrial(params)
        try:
            with warnings.catch_warnings():
                warnings.filterwarnings("error", module="optuna")  # of a value out of its range
                self._call(self.module.suggest, trial, data)
        except NasError as error:
            reason = text_of(error.__cause__ or error)
            raise BrokenFile(f"{self.file}: starts()[{number}] is no proposal: {reason}") from error
        return trial.params

    def suggest(self, trial: BaseTrial, data: DataInfo) -> Proposal:
        """The space's own `suggest`, with errors shown as the author of the space needs them.

        Raises:
            BrokenFile: the code of a user's space failed.
            InvalidSetting: a space of ours cannot be used on this data.
        """
        proposal = self._call(self.module.suggest, trial, data)
        if not isinstance(proposal, Proposal):
            kind = type(proposal).__name__
            raise BrokenFile(f"{self.file}: suggest() must return a nas.space.Proposal, not {kind}.")
        if self.training:
            proposal = replace(proposal, training=override(proposal.training, self.training))
        try:
            proposal.digest  # noqa: B018 - it can be made
        except TypeError as error:
            needs = "its architecture must be a dataclass of plain values"
            raise BrokenFile(
                f"{self.file}: suggest() returned a proposal without a digest: {needs}."
            ) from error
        return proposal

    def build(self, proposal: Proposal, data: DataInfo, seed: int = 0) -> Any:
        """`proposal.architecture.build(data)`, with the same care for errors.

        Args:
            seed: of all that is drawn at random, weights above all.
        """
        with seeded(seed):
            return self._call(proposal.architecture.build, data)

    @property
    def file(self) -> Path:
        assert self.module.__file__ is not None
        return Path(self.module.__file__)

    def blamed(self, error: BaseException) -> BrokenFile:
        """`error`, which the space's code has raised, with the line that is to blame."""
        return self.user.blamed(error) if self.user else BrokenFile.from_exception(self.file, error)

    def _call(self, function: Any, *arguments: Any) -> Any:
        surroundings = self.user.at_work() if self.user else at_work() if self.is_theirs else nullcontext()
        try:
            with surroundings:
                return function(*arguments)
        except (KeyboardInterrupt, StorageError, BrokenFile):  # the database's, or the sampler's
            raise
        except BaseException as error:  # SystemExit too, which would end us without a word
            if type(error).__name__ == "StorageInternalError" or type(error).__module__.startswith(
                "sqlalchemy"
            ):
                raise  # the database's fault
            if self.is_theirs:
                raise self.blamed(error) from error
            if isinstance(error, ValueError):  # such as images too small for it
                raise InvalidSetting(text_of(error)) from error
            raise

    @property
    def is_theirs(self) -> bool:
        """Whether it is none of ours."""
        return not self.module.__name__.startswith(f"{SPACES.package}.")


def shipped_spaces() -> list[str]:
    """The names of the spaces that come with us, sorted."""
    return SPACES.shipped()


def known_baselines() -> list[str]:
    """The names of the baselines that come with us, sorted."""
    return BASELINES.shipped()


def known_spaces() -> list[str]:
    """Every name `load_space` takes, sorted: shipped spaces and those of other distributions."""
    return SPACES.names()


def is_file(name: str) -> bool:
    """Whether a `--space` names a file rather than a known space."""
    return name.endswith(".py") or "/" in name or "\\" in name


def short_name(source: str) -> str:
    """What a space is called that `source` finds, without a look at it."""
    return Path(source).stem if is_file(source) else source


def load_baseline(name: str, *, named: bool = True) -> Space:
    """Find and import a baseline: one of ours, or any search space, by its name or by the path of its file.

    Whether it samples nothing is seen on data only: `nas.space.parameters.check_baseline`.

    Args:
        named: as of `load_space`.

    Raises:
        UnknownName: nobody provides it.
        BrokenFile: the file cannot be imported, or has no `suggest`.
        StudyError: only a study names the file, and this user has not run it.
    """
    if not is_file(name) and name not in {*known_baselines(), *known_spaces()}:
        hint = "Your own: give the path of its file, such as ./my_baseline.py."
        raise UnknownName("baseline", name, known_baselines(), hint)
    return load_space(name, named=named)


def load_space(name: str, *, named: bool = True) -> Space:
    """Find and import a search space or a baseline by its name or by the path of its file.

    A file is run once in a process, and again when it or what it imports has changed.

    Args:
        named: whether a person has named it just now. A file that only a study names is run only if this user
            has run it before.

    Raises:
        UnknownName: nobody provides it.
        BrokenFile: the file cannot be imported, or has no `suggest`.
        StudyError: only a study names the file, and this user has not run it.
    """
    user = None
    if is_file(name):
        path = expanded(name).resolve()
        user = _user_module(path, named)
        module, source, short = user.module, str(path), path.stem
    else:
        kind = BASELINES if name in BASELINES.shipped() else SPACES
        with aside():
            module = kind.find(name, "Your own: give the path of its file, such as ./my_space.py.")
        source = short = name
        if not isinstance(module, ModuleType):
            raise kind.broken(name, "it is no module.")
    if not callable(getattr(module, "suggest", None)):
        raise BrokenFile(f"{module.__file__}: a search space needs a function suggest(trial, data).")
    version = getattr(module, "VERSION", 1)
    if not isinstance(version, int):
        raise BrokenFile(f"{module.__file__}: VERSION must be an int, not {version!r}.")
    lines = (module.__doc__ or "").strip().splitlines()
    return Space(short, source, version, lines[0] if lines else "", module, user=user)


NAME_IT = "--space FILE with nas search, train or export, --baseline FILE with nas search, or nas spaces FILE"


def check_known(name: str, who: str, option: str) -> None:
    """A file that only `who` names, such as a recipe that somebody sent, is not run unseen.

    Raises:
        StudyError: this user has not run it as it is now. It names the `option` to name it with.
        InvalidSetting: there is no such file.
    """
    if is_file(name):
        path = expanded(name).resolve()
        if not UserFiles.read(path).known:
            raise StudyError(
                f"{path} is not run because {who} names it: you have not run it before, as it is now. If you"
                f" trust it, name it yourself, once: {option} {name}."
            )


_imported: dict[Path, UserModule] = {}
"""As they were when they were last run."""

_importing = threading.RLock()


def _user_module(path: Path, named: bool) -> UserModule:
    if not named and not path.is_file():
        raise StudyError(
            f"No search space at {path}, where its study has it: there is no such file. If it has moved, name"
            f" it: {NAME_IT}."
        )
    files = UserFiles.read(path)
    if named:
        files.remember()
    elif not files.known:
        raise StudyError(
            f"{path} is not run because a study names it: you have not run it before, as it is now. If you"
            f" trust it, name it: {NAME_IT}."
        )
    with _importing:
        found = _imported.get(path)
        if found is None or found.files.digest != files.digest:
            found = _imported[path] = UserModule(files)
        return found
