"""The seam of loggers, who are told every event of a search, but for how far epochs are.

A logger is a file of this room, or a module that an entry point of the group `nas.loggers` names.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Protocol

from nas.errors import in_one_line
from nas.events import Event, ImagesSeen, Notice, OfBaseline, Watch
from nas.machine.plugins import LOGGERS


class LoggerModule(Protocol):
    """What a file holds."""

    def make(self, folder: Path) -> AbstractContextManager[Watch]:
        """Open a log for one run of a search; what it yields is called with each event, from one thread.

        The first event, `SearchStarted`, tells the study, its recipe and its data. A study that goes on is
        another run: its log goes on.

        Args:
            folder: of the study, which exists.

        Raises:
            NasError: a package or an account is missing: the search does not start.
        """
        ...


@contextmanager
def logged(names: Iterable[str], folder: Path, watch: Watch) -> Iterator[Watch]:
    """`watch`, and the loggers beside it. One that fails ends no search: it is left out from then on.

    Raises:
        UnknownName: there is no logger of this name.
        NasError: one cannot be opened; nothing has been told yet.
    """
    loggers: dict[str, Watch] = {}

    def tell(event: Event) -> None:
        watch(event)
        if isinstance(event.event if isinstance(event, OfBaseline) else event, ImagesSeen):
            return  # for the eye, twice a second: no log is to grow by it
        failed: dict[str, BaseException] = {}
        for name, log in loggers.items():
            try:
                log(event)
            except KeyboardInterrupt:
                raise
            except BaseException as error:  # SystemExit too, which would end the search without a word
                failed[name] = error
        leave_out(failed)

    def leave_out(failed: Mapping[str, BaseException]) -> None:
        for name in failed:
            del loggers[name]
        for name, error in failed.items():  # to those that are left
            tell(Notice(text=f"The log {name} is left out from now on: {in_one_line(error)}"))

    def close(name: str, log: AbstractContextManager[Watch]) -> None:
        try:
            log.__exit__(None, None, None)
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            if name in loggers:  # else it was told of
                leave_out({name: error})
        loggers.pop(name, None)

    with ExitStack() as opened:
        for name in dict.fromkeys(names):
            module: LoggerModule = LOGGERS.find(name)
            with LOGGERS.at_work(name):
                log = module.make(folder)
                loggers[name] = log.__enter__()
            opened.callback(close, name, log)
        yield tell
