"""From what a user calls a dataset to where its images are read from.

A name belongs to the source that offers it; a path, or any other text, to the one source that knows it for
its own, by its suffix or by what is in it. What no source knows is a folder of class folders.
`nas.datasets.source` tells what a source is.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import ModuleType
from typing import Any

from nas.datasets.image_files import ALL_SUFFIXES
from nas.datasets.layout import LAYOUT
from nas.datasets.rules import FIRST
from nas.datasets.source import Source
from nas.datasets.sources import folder
from nas.errors import DataError, InvalidSetting, NasError, UnknownName
from nas.machine.files import absolute
from nas.machine.plugins import DATASETS
from nas.machine.user_cache import cache_root

ARCHIVES = {".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".zst", ".7z", ".rar"}
TABLES = {".json", ".feather", ".xls", ".xlsx", ".txt"}


def known_datasets() -> list[str]:
    """Every name that `open_data` takes, sorted; besides these it takes paths."""
    ours = (name for module in _ours().values() for name in _names(module))
    return sorted({*ours, *DATASETS.of_others()})


def source_name(source: str) -> str:
    """The short name of a source: "digits" for itself, "pets" for "/data/pets/", "b" for "a/b.npz"."""
    if source in known_datasets():
        return source
    for module in _ours().values():
        if hasattr(module, "called") and module.takes(source):
            return str(module.called(source))
    path = absolute(source)
    is_file = any(_has_suffix(module, source) for module in _ours().values())
    return path.stem if is_file else path.name


def find_source(
    source: str,
    data_dir: Path | None,
    rules: int,
    columns: Mapping[str, str] | None = None,
    root: Path | None = None,
    *,
    native: bool = False,
) -> Source:
    """Args:
        source: a name out of `known_datasets()`, or a path.
        data_dir: where downloads lie or are put; by default `downloads` in the cache folder.
        rules: see `nas.datasets.rules`.
        native: whether it may give arrays, of any depth.
        columns, root: what is said of a table: see `nas.datasets.open_data`.

    Raises:
        UnknownName: it is neither a known dataset nor a path.
        DataError: there is nothing at the path, or nothing that is a dataset.
        InvalidSetting: `columns` or `root` is given for what is no table.
        BrokenFile: a source of another distribution failed.
    """
    downloads = absolute(data_dir) if data_dir else cache_root() / "downloads"
    said = {"columns": columns, "root": root and absolute(root)}
    options = {name: value for name, value in said.items() if value}
    owners = owners_of(source)
    if absolute(source).is_dir():
        owners = {name: each for name, each in owners.items() if rules >= getattr(each, "SINCE", FIRST)}
    if len(owners) > 1:
        ways = ", or as ".join(owners)
        raise DataError(f"{source} can be read in more ways than one: as {ways}. Leave one of them.")
    for name, module in owners.items():
        with DATASETS.at_work(name):
            return _opened(module, source, downloads, rules, options, native)
    _check_options(source, options, ())
    if "://" in source:
        raise DataError(f"{source} is an address: download the images first, and give their folder. {LAYOUT}")
    path = absolute(source)
    if path.is_file():
        raise DataError(f"{path} is {_kind_of_file(path)}")
    if "/" in source or os.sep in source or path.is_dir():
        return folder.open(source, downloads, rules, native)
    hint = "Your own: give the path of a folder of class folders, of a table or of an .npz file."
    raise UnknownName("dataset", source, known_datasets(), hint)


def owners_of(source: str) -> dict[str, Any]:
    """The sources whose name or path it is; none of class folders."""
    return _offering(source) or _taking(source, _ours()) or _taking(source, _of_others())


def pinned(source: str) -> str:
    """What finds the very same images for ever: a text that may come to mean others is made exact.

    Raises:
        DataError: there is nothing that it names.
    """
    for name, module in owners_of(source).items():
        if hasattr(module, "pinned"):
            with DATASETS.at_work(name):
                return str(module.pinned(source))
    return source


def _opened(
    offered: Any, source: str, downloads: Path, rules: int, options: Mapping[str, Any], native: bool
) -> Source:
    """An entry point may also name a function of the downloads alone, which makes the source of its name."""
    by_module = isinstance(offered, ModuleType)
    taken = getattr(offered, "OPTIONS", ())
    _check_options(source, options, taken)
    if "native" in taken:
        options = {**options, "native": native}
    made: Source = offered.open(source, downloads, rules, **options) if by_module else offered(downloads)
    return made


def _check_options(source: str, options: Mapping[str, Any], taken: Sequence[str]) -> None:
    for name in options.keys() - {*taken}:
        raise InvalidSetting(f"--{name} is for tables, and {source} is none: leave it out.")


def _ours() -> dict[str, ModuleType]:
    """The modules of `nas.datasets.sources`."""
    return {name: DATASETS.find(name) for name in DATASETS.shipped()}


def _of_others() -> dict[str, ModuleType]:
    """Modules of other distributions. One that cannot be used takes nothing: who names it is told."""
    found = {}
    for name in DATASETS.of_others():
        with suppress(NasError):
            found[name] = DATASETS.find(name)
    return {name: offered for name, offered in found.items() if isinstance(offered, ModuleType)}


def _offering(source: str) -> dict[str, Any]:
    """Whose name it is."""
    ours = {name: module for name, module in _ours().items() if source in _names(module)}
    return ours or ({source: DATASETS.find(source)} if source in DATASETS.of_others() else {})


def _taking(source: str, modules: Mapping[str, ModuleType]) -> dict[str, ModuleType]:
    """Those that know it for their own."""
    taking = {}
    for name, module in modules.items():
        with DATASETS.at_work(name):
            if _has_suffix(module, source) or (hasattr(module, "takes") and module.takes(source)):
                taking[name] = module
    return taking


def _names(module: ModuleType) -> Sequence[str]:
    names: Sequence[str] = getattr(module, "NAMES", ())
    return names


def _has_suffix(module: ModuleType, source: str) -> bool:
    return Path(source).suffix.lower() in getattr(module, "SUFFIXES", ())


def _kind_of_file(path: Path) -> str:
    """What a file that is no dataset may be, and what to do with it."""
    suffix = path.suffix.lower()
    if suffix in ARCHIVES:
        return f"an archive: unpack it, and give the folder inside. {LAYOUT}"
    if suffix in TABLES:
        return "a table of a kind that is not read: save it as .csv, .jsonl or .parquet."
    if suffix in ALL_SUFFIXES:
        return f"a single image: give the folder of all images. {LAYOUT}"
    return f"a file, not a folder of images. {LAYOUT}"
