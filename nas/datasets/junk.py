"""What lies among images and is none of them: what systems, cloud disks and NAS boxes leave, and copies."""

from __future__ import annotations

import re
from collections.abc import Iterable

SYSTEM = frozenset(
    {"__macosx", "$recycle.bin", "recycler", "system volume information", "lost+found", "found.000"}
    | {"@eadir", "@recycle", "@recently-snapshot", "@tmp", "#recycle", "#snapshot", "__pycache__"}
    | {"network trash folder", "temporary items", "thevolumesettingsfolder"}
    | {"thumbs.db", "ehthumbs.db", "desktop.ini", "picasa.ini", "icon\r"}
)
"""Files and folders, in lower case. Names with a dot before them, such as .DS_Store, are hidden anyway."""

NO_IMAGES = frozenset(
    {".csv", ".db", ".doc", ".docx", ".htm", ".html", ".ipynb", ".json", ".jsonl", ".log", ".mat", ".md"}
    | {".onnx", ".parquet", ".pdf", ".pkl", ".pt", ".pt2", ".pth", ".py", ".pyc", ".rst", ".safetensors"}
    | {".sh", ".sqlite", ".svg", ".toml", ".tsv", ".txt", ".xls", ".xlsx", ".xml", ".yaml", ".yml"}
)
"""Suffixes of texts, tables and code: a folder of such files is no class whose images cannot be read."""

DATABASE = "nas.db"
"""The folder that holds it is where results go, and no class."""

COPIES = re.compile(r"[@_#]?(thumb|thumbnail|preview)s?_?", re.IGNORECASE)
"""Names of folders that may hold small copies of the images beside them."""

COPY = re.compile(
    r"(?:thumb|thumbnail|tn)[-_.](.+)|(.+)[-_.](?:thumb|thumbnail)|(.+)-\d+x\d+|(.+) \(.*conflicted copy.*\)",
    re.IGNORECASE,
)
"""The name, without its suffix, of a copy of the image whose name is the group."""


def is_left_out(name: str) -> bool:
    """Whether files and folders of this name do not exist for us."""
    return name.startswith(".") or name.lower() in SYSTEM


def results_among(files: Iterable[str]) -> set[str]:
    """The folders, but for the root, that hold the results of searches."""
    parts = (path.rpartition("/") for path in files)
    return {folder for folder, _, name in parts if folder and name == DATABASE}


def copies_among(images: Iterable[str]) -> set[str]:
    """Small copies, and copies that a cloud disk made of two versions, whose originals are there as well.

    Such as cat/thumbs/1.jpg of cat/1.jpg, thumbs/cat/1.jpg of cat/1.png, or cat/1-150x150.jpg of cat/1.jpg.
    """
    stems = {path: _stem(path) for path in images}
    known = set(stems.values())
    return {path for path, stem in stems.items() if any(each in known for each in _originals(stem))}


def copies_within(images: Iterable[str]) -> tuple[set[str], set[str]]:
    """Of one class, by their paths below its folder: the small copies, and images that may be copies.

    The former lie in a folder for copies and have the name of an image elsewhere; the latter lie deeper than
    another image of their name.
    """
    stems = {path: _stem(path).split("/") for path in images}
    if all(len(parts) == 1 for parts in stems.values()):  # soon done, as most are
        return set(), set()
    small = {path for path, (*folders, _) in stems.items() if any(map(COPIES.fullmatch, folders))}
    large = {parts[-1] for path, parts in stems.items() if path not in small}
    copies = {path for path in small if stems[path][-1] in large}
    known = {tuple(parts) for parts in stems.values()}
    deeper = {
        path
        for path, (*folders, name) in stems.items()
        if any((*folders[:depth], name) in known for depth in range(len(folders)))
    }
    return copies, deeper - copies


def _originals(stem: str) -> Iterable[str]:
    """What it might be a copy of."""
    *folders, name = stem.split("/")
    if match := COPY.fullmatch(name):
        yield "/".join([*folders, next(filter(None, match.groups()))])
    for depth, folder in enumerate(folders):
        if COPIES.fullmatch(folder):
            yield "/".join([*folders[:depth], *folders[depth + 1 :], name])


def _stem(path: str) -> str:
    folder, slash, name = path.rpartition("/")
    return folder + slash + name.rpartition(".")[0]
