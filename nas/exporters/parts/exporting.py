"""One export: a folder with the files of every format asked for, and the description of the network."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nas.errors import StorageError
from nas.exporters.parts.folder import ARCHITECTURE, check_replaceable, replaced
from nas.exporters.parts.formats import load_exporter
from nas.exporters.parts.trained import TrainedModel

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class Export:
    """What was written."""

    folder: Path
    files: tuple[str, ...]
    """Names in the folder, sorted."""
    differences: Mapping[str, float]
    """By format: the largest absolute difference of a logit from the network's in this process."""


def export_trial(trained: TrainedModel, out: Path, formats: Sequence[str] = ("source",)) -> Export:
    """Write a trained network into the folder `out`, all formats or none; an earlier export is replaced.

    Every format is read back and compared before the folder takes its place.

    Raises:
        UnknownName: nobody provides one of the formats.
        StorageError: `out` is a file, or holds something other than an earlier export, or cannot be written.
        NasError: a format cannot hold the network, or its files do not compute the same.
    """
    exporters = {name: load_exporter(name) for name in formats}
    out = out.expanduser().resolve()
    trained = replace(trained, model=_plain(trained.model))
    try:
        check_replaceable(out)
        with replaced(out) as folder:
            differences = {name: exporter.export(trained, folder) for name, exporter in exporters.items()}
            files = sorted([ARCHITECTURE, *(path.name for path in folder.iterdir())])
            description = json.dumps(_description(trained, files), indent=1)
            (folder / ARCHITECTURE).write_text(description + "\n", encoding="utf-8")
    except OSError as error:
        raise StorageError(f"The folder {out} cannot be written: {error.strerror or error}.") from error
    return Export(out, tuple(files), differences)


def _plain(model: nn.Module) -> nn.Module:
    """A copy in evaluation mode on the CPU, its weights float32 and contiguous."""
    import torch

    plain: Any = copy.deepcopy(model).cpu().float().eval()  # torch 2.13 does not declare memory_format
    contiguous: nn.Module = plain.to(memory_format=torch.contiguous_format)
    return contiguous


def _description(trained: TrainedModel, files: list[str]) -> dict[str, Any]:
    """The content of architecture.json: what rebuilds the network, and what it is."""
    return {
        "study": trained.study,
        "trial": trained.trial,
        "val_accuracy": trained.val_accuracy,
        "space": trained.space,
        "space_version": trained.space_version,
        "params": dict(trained.params),
        "data": trained.data,
        "input_shape": trained.input_shape,
        "classes": trained.classes,
        "mean": trained.mean,
        "std": trained.std,
        **asdict(trained.layers),
        "versions": dict(trained.versions),
        "files": files,
    }
