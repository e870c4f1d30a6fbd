"""A user's code at work: what it may expect of its surroundings, and what it must not change of ours.

It finds the modules beside its file, as a script does. What it prints goes to standard error, because ours
is read by programs. Numbers drawn at random follow from a seed. What it sets in torch for the whole process,
such as another default dtype, holds for its own lines alone.
"""

from __future__ import annotations

import io
import random
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from types import ModuleType
from typing import Any

from nas.errors import BrokenFile, SearchesItself
from nas.space.user_files import MAIN, UserFiles

_this_thread = threading.local()


class UserModule(MetaPathFinder):
    """A user's file, imported with the modules beside it, which no other file ever sees."""

    def __init__(self, files: UserFiles) -> None:
        """Runs the file.

        Raises:
            BrokenFile: it ends in an error.
        """
        self.files = files
        self._beside: dict[str, ModuleType] = {}
        """Those imported so far, by name."""
        running: list[UserFiles] = _this_thread.__dict__.setdefault("running", [])
        if files in running:
            raise SearchesItself(
                f"{files.path} is a search space that starts a search of itself when it is imported. Put that"
                ' call under: if __name__ == "__main__":'
            )
        name = f"nas_user_space_{files.path.stem}_{files.digest[:8]}"
        loader = _Loader(name, files, MAIN)
        spec = spec_from_loader(name, loader)
        assert spec is not None
        spec.origin, spec.has_location = loader.path, True
        self.module = module_from_spec(spec)
        sys.modules[name] = self.module  # dataclasses look their module up
        running.append(files)
        try:
            with self.at_work(), seeded(0):
                loader.exec_module(self.module)
        except BaseException as error:
            del sys.modules[name]
            if isinstance(error, SearchesItself | KeyboardInterrupt):
                raise
            raise self.blamed(error) from error
        finally:
            running.pop()

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """For a block that runs functions of the file: the modules beside it are there to be imported."""
        with at_work(), self._neighbours():
            yield

    def blamed(self, error: BaseException) -> BrokenFile:
        """`error` as one of the user's files, by the deepest of their lines."""
        files = (source.path for source in self.files.modules.values())
        return BrokenFile.from_exception(self.files.path, error, files)

    def find_spec(self, fullname: str, path: object = None, target: object = None) -> ModuleSpec | None:
        """Part of Python's import system: only what was read beside the file is found here."""
        if fullname not in self._names:
            return None
        folder = self.files.folders.get(fullname)
        if fullname not in self.files.modules:  # a folder without __init__.py
            spec = ModuleSpec(fullname, None, is_package=True)
            spec.submodule_search_locations = []
            return spec
        loader = _Loader(fullname, self.files, fullname)
        found = spec_from_loader(fullname, loader, is_package=folder is not None)
        assert found is not None
        found.origin, found.has_location = loader.path, True
        if folder is not None:
            found.submodule_search_locations = [str(folder)]
        return found

    @property
    def _names(self) -> set[str]:
        return {*self.files.modules, *self.files.folders} - {MAIN}

    @contextmanager
    def _neighbours(self) -> Iterator[None]:
        """Their names mean the modules beside the file, and afterwards what they meant before."""
        names = self._names
        hidden = {name: module for name in names if (module := sys.modules.get(name)) is not None}
        for name in hidden:
            if hidden[name] is not self._beside.get(name):
                del sys.modules[name]
        sys.modules.update(self._beside)
        sys.meta_path.insert(0, self)
        try:
            yield
            self._beside |= {name: sys.modules[name] for name in names if name in sys.modules}
        finally:
            sys.meta_path.remove(self)
            for name, module in hidden.items():
                if not isinstance(getattr(module.__spec__, "loader", None), _Loader):
                    sys.modules[name] = module


class _Loader(SourceFileLoader):
    """Of the content that was read, never of a cached one that somebody may have put beside it."""

    def __init__(self, fullname: str, files: UserFiles, name: str) -> None:
        source = files.modules[name]
        super().__init__(fullname, str(source.path))
        self._content = source.content

    def get_code(self, fullname: str) -> Any:
        return self.source_to_code(self._content, self.path)


# ------------------------------------------------------------------------------------------------------------


@contextmanager
def at_work() -> Iterator[None]:
    """A user's code may print in this block, and change what torch does by default."""
    with aside(), _torch_as_before():
        yield


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """What Python, numpy and torch draw at random in this block follows from `seed`; later draws do not."""
    import numpy as np
    import torch

    before = random.getstate(), np.random.get_state(), torch.get_rng_state()
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.default_generator.manual_seed(seed)
    try:
        yield
    finally:
        random.setstate(before[0])
        np.random.set_state(before[1])
        torch.set_rng_state(before[2])


@contextmanager
def _torch_as_before() -> Iterator[None]:
    import torch

    settings: list[tuple[Callable[[], Any], Callable[[Any], Any]]] = [
        (torch.get_default_dtype, torch.set_default_dtype),
        (torch.is_grad_enabled, torch.set_grad_enabled),
        (torch.get_num_threads, torch.set_num_threads),
        (torch.get_default_device, lambda _: torch.set_default_device(None)),
    ]
    before = [get() for get, _ in settings]
    try:
        yield
    finally:
        for (get, put), value in zip(settings, before, strict=True):
            if get() != value:
                put(value)


# ------------------------------------------------------------------------------------------------------------


class _Output:
    """Standard output, which is standard error to a thread that has stepped aside."""

    def __init__(self, real: Any) -> None:
        self.real = real

    def __getattr__(self, name: str) -> Any:
        stream = (sys.stderr or io.StringIO()) if _this_thread.__dict__.get("aside") else self.real
        return getattr(stream, name)


_output = threading.Lock()
_blocks = 0
"""Of all threads."""


@contextmanager
def aside() -> Iterator[None]:
    """What this thread prints in the block goes to standard error."""
    global _blocks
    mine = _this_thread.__dict__
    with _output:
        _blocks += 1
        if sys.stdout is not None and not isinstance(sys.stdout, _Output):
            sys.stdout = _Output(sys.stdout)
    mine["aside"] = mine.get("aside", 0) + 1
    try:
        yield
    finally:
        mine["aside"] -= 1
        with _output:
            _blocks -= 1
            if not _blocks and isinstance(sys.stdout, _Output):
                sys.stdout = sys.stdout.real
