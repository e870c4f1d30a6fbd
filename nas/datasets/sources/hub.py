"""Datasets of Hugging Face's hub: hf:user/set, hf:user/set/configuration and hf:user/set@revision.

A study keeps the commit, hf:user/set@0123…, and needs the hub no more once the files are here.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Self

from nas.datasets.tables.arrow import SUFFIXES as PARQUET
from nas.datasets.tables.parts import one_configuration, parts_of
from nas.datasets.tables.tabled import Tabled
from nas.errors import DataError, first_line
from nas.machine.files import disk_errors, written_whole

if TYPE_CHECKING:
    from huggingface_hub import HfApi

SCHEME = "hf:"
OPTIONS = ("columns", "root")

COMMIT = re.compile("[0-9a-f]{40}")

LOG_IN = "log in with hf auth login"

CONVERTED = "refs/convert/parquet"
"""The branch in which the hub keeps what was uploaded in other formats, as parquet files."""


@dataclass(frozen=True)
class Address:
    """What a text names."""

    repository: str
    """Such as "user/set"."""
    configuration: str = ""
    revision: str = ""
    """A commit, a branch or a tag; "" for the newest."""

    @classmethod
    def of(cls, source: str) -> Self:
        path, _, revision = source.removeprefix(SCHEME).partition("@")
        parts = path.strip("/").split("/")
        return cls("/".join(parts[:2]), "/".join(parts[2:]), revision)

    def __str__(self) -> str:
        path = "/".join(filter(None, (self.repository, self.configuration)))
        return SCHEME + "@".join(filter(None, (path, self.revision)))


def takes(source: str) -> bool:
    """hf: is a path of nobody's."""
    return source.startswith(SCHEME)


def called(source: str) -> str:
    """The last part of the repository's name."""
    return Address.of(source).repository.rpartition("/")[2]


def pinned(source: str) -> str:
    """The same at the commit that it names now.

    Raises:
        DataError: the hub does not know it, or is not reached.
    """
    address = Address.of(source)
    if COMMIT.fullmatch(address.revision):
        return source
    with _errors_of(address):
        api = _hub(address)
        info = api.dataset_info(address.repository, revision=address.revision or None)
        if not address.revision and not _parquet_files(info.siblings):
            info = api.dataset_info(address.repository, revision=CONVERTED)
        return str(Address(address.repository, address.configuration, str(info.sha)))


def open(
    source: str,
    downloads: Path,
    rules: int,
    columns: Mapping[str, str] | None = None,
    root: Path | None = None,
) -> Tabled:
    """Downloads its files, where they are not here.

    Raises:
        DataError: the hub does not know it or is not reached, or it has no parquet files.
        StorageError: the files cannot be written.
    """
    address = Address.of(pinned(source))
    folder = downloads / "hub"
    listing = folder / f"{address.repository.replace('/', '--')}@{address.revision}.json"
    paths = _known(listing)
    if paths is None:
        with _errors_of(address):
            info = _hub(address).dataset_info(address.repository, revision=address.revision)
            paths = _parquet_files(info.siblings)
        with disk_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
            with written_whole(listing) as stream:
                stream.write(json.dumps(paths).encode())
    if not paths:
        raise DataError(f"{address} has no parquet files. Download it, and give the folder of its images.")
    chosen = one_configuration(
        str(address), paths, lambda name: str(replace(address, configuration=name)), address.configuration
    )
    files = [_download(address, path, folder) for path in chosen]
    above = Path(str(files[0]).removesuffix(chosen[0]))
    return Tabled(
        called(source),
        above,
        parts_of(above, chosen),
        columns=columns or {},
        root=root,
        rules=rules,
        called=str(address),
        trusted=False,
    )


def _known(listing: Path) -> list[str] | None:
    """The files of a commit, as they were written down."""
    try:
        return [str(path) for path in json.loads(listing.read_text(encoding="utf-8"))]
    except (OSError, ValueError, TypeError):
        return None


def _download(address: Address, path: str, folder: Path) -> Path:
    with _errors_of(address):
        api = _hub(address)
        place = api.hf_hub_download(
            address.repository, path, repo_type="dataset", revision=address.revision, cache_dir=folder
        )
    return Path(place)


def _hub(address: Address) -> HfApi:
    try:
        from huggingface_hub import HfApi
        from huggingface_hub.utils.tqdm import disable_progress_bars
    except ImportError as error:
        need = "needs huggingface_hub: pip install 'optuna-nas[huggingface]'"
        raise DataError(f"{address} {need}") from error
    if not sys.stderr.isatty():
        disable_progress_bars()
    return HfApi(endpoint=os.environ.get("HF_ENDPOINT"))


def _parquet_files(siblings: object) -> list[str]:
    names = (str(each.rfilename) for each in siblings or ())  # type: ignore[attr-defined]
    return sorted(name for name in names if name.endswith(PARQUET) and ".." not in name.split("/"))


@contextmanager
def _errors_of(address: Address) -> Iterator[None]:
    """Whatever the hub, or the way to it, says, in one line.

    Raises:
        DataError: it has said something.
    """
    try:
        yield
    except DataError:
        raise
    except Exception as error:  # of the library, of its HTTP client, of the system
        kind = type(error).__name__
        reasons = {
            "RepositoryNotFoundError": f"the hub has no such dataset, or not for everybody: {LOG_IN}",
            "GatedRepoError": f"the hub gives it to those alone who have asked for it: {LOG_IN}",
            "RevisionNotFoundError": "the dataset has no such revision, or nothing in parquet files",
            "EntryNotFoundError": "the dataset has no such file",
        }
        raise DataError(
            f"{address} cannot be had: {reasons.get(kind, first_line(error).rstrip('.'))}."
        ) from error
