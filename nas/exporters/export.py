"""One export: a folder with the files of every format, each verified, and what describes the network."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nas.errors import NasError, StorageError, VerificationFailed
from nas.exporters.description import describe
from nas.exporters.folder import check_replaceable, replaced, restore
from nas.exporters.provenance import remember
from nas.exporters.registry import DEFAULT, Exporter, load_exporter
from nas.exporters.trained import TrainedModel
from nas.exporters.verify.verification import Reference, Verification, judge, reference, verify
from nas.machine.files import expanded

if TYPE_CHECKING:
    from torch import nn

MAX_DROP = 0.01
"""What a lossy format may lose of the metric."""


@dataclass(frozen=True, kw_only=True)
class Export:
    """What was written, and what was found when it was read back."""

    folder: Path
    files: tuple[str, ...]
    """Names in the folder, sorted."""
    formats: Mapping[str, Verification]
    """Those in the folder."""
    left_out: Mapping[str, str]
    """Formats that nobody asked for by name and that could not be written, with the reason."""
    failures: Mapping[str, str]
    """Formats that do not do what the network does, with the reason; their files were not kept."""
    reference: Reference
    """What they were held against."""


def export_model(
    trained: TrainedModel,
    out: Path,
    formats: Sequence[str] | None = None,
    *,
    uint8: bool = False,
    max_drop: float = MAX_DROP,
    overwrite: bool = False,
) -> Export:
    """Write a trained network into the folder `out`, which appears whole; an earlier export is replaced.

    Args:
        formats: names out of `known_exporters()`; None for those of `DEFAULT` that the packages at hand and
            the network allow.
        uint8: put the preprocessing into the files, so that they take raw images.
        max_drop: of the metric, what a lossy format may lose.
        overwrite: replace an earlier export though files in it were added or edited.

    Raises:
        VerificationFailed: a format does not do what the network does. The others were written, if any.
        UnknownName: nobody provides one of the formats.
        InvalidSetting: the network does not take such images, or tells other classes apart.
        StorageError: `out` is a file, or holds something other than an earlier export, or cannot be written.
        NasError: a format that was asked for cannot hold the network, or lacks a package.
    """
    out = expanded(out).resolve()
    chosen = {name: load_exporter(name) for name in (DEFAULT if formats is None else formats)}
    trained = replace(trained, model=_plain(trained.model))
    try:
        restore(out)
        check_replaceable(out, overwrite=overwrite)
        with replaced(out, overwrite=overwrite) as folder, reference(trained) as wanted:
            exporters, left_out = _write_all(chosen, trained, folder, uint8, required=formats is not None)
            kept, failures = _verify_all(exporters, trained, folder, wanted, max_drop)
            if failures and not kept:
                raise VerificationFailed(" ".join(failures.values()))
            export = Export(
                folder=out,
                files=describe(trained, folder, kept, wanted, uint8=uint8),
                formats=kept,
                left_out=left_out,
                failures=failures,
                reference=wanted,
            )
            remember(folder)
    except OSError as error:
        raise StorageError(f"The folder {out} cannot be written: {error.strerror or error}.") from error
    if failures:
        raise VerificationFailed(" ".join(failures.values()), export)
    return export


Written = dict[str, tuple[Exporter, tuple[str, ...]]]
"""By format: its exporter and the files it wrote."""


def _write_all(
    exporters: Mapping[str, Exporter], trained: TrainedModel, folder: Path, uint8: bool, *, required: bool
) -> tuple[Written, dict[str, str]]:
    """What was written, and what could not be, with the reason."""
    written: Written = {}
    left_out: dict[str, str] = {}
    for name, exporter in exporters.items():
        before = set(folder.iterdir())
        try:
            exporter.check()
            exporter.export(trained, folder, uint8=uint8)
        except NasError as error:
            if required:
                raise
            left_out[name] = str(error)
            for begun in {*folder.iterdir()} - before:
                begun.unlink()
        else:
            written[name] = exporter, tuple(sorted(path.name for path in {*folder.iterdir()} - before))
    return written, left_out


def _verify_all(
    written: Written, trained: TrainedModel, folder: Path, wanted: Reference, max_drop: float
) -> tuple[dict[str, Verification], dict[str, str]]:
    """What does as the network does, and what does not, with the reason; files of the latter are removed."""
    kept: dict[str, Verification] = {}
    failures: dict[str, str] = {}
    for name, (exporter, files) in written.items():
        try:
            kept[name] = verify(name, trained, folder, files, wanted)
            judge(name, exporter, kept[name], wanted, max_drop)
        except NasError as error:
            kept.pop(name, None)
            failures[name] = str(error)
            for file in files:
                (folder / file).unlink()
    return kept, failures


def _plain(model: nn.Module) -> nn.Module:
    """A copy in evaluation mode on the CPU, its weights float32 and contiguous."""
    import torch

    plain: Any = copy.deepcopy(model).cpu().float().eval()  # torch 2.13 does not declare memory_format
    contiguous: nn.Module = plain.to(memory_format=torch.contiguous_format)
    return contiguous
