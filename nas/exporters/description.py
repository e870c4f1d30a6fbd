"""What lies beside the files of the formats: the description of the network, its verification, its card."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from nas.exporters.card import card, title_of
from nas.exporters.folder import ARCHITECTURE
from nas.exporters.sha256sums import SUMS, write_sums
from nas.exporters.trained import TrainedModel
from nas.exporters.verify.verification import Reference, Verification
from nas.machine.texts import clean

LABELS, DRAWING, CARD, REPORT = "labels.txt", "architecture.svg", "README.md", "verification.json"


def describe(
    trained: TrainedModel,
    folder: Path,
    formats: Mapping[str, Verification],
    wanted: Reference,
    *,
    uint8: bool,
) -> tuple[str, ...]:
    """Complete an export by what is no format, checksums last; the names of all its files, sorted."""
    from nas.network.drawing import architecture_svg  # torch comes with it

    files = sorted(
        {ARCHITECTURE, LABELS, DRAWING, CARD, REPORT, SUMS, *(path.name for path in folder.iterdir())}
    )
    content = {
        ARCHITECTURE: _json(_architecture(trained, formats, files, uint8)),
        LABELS: "".join(f"{clean(name)}\n" for name in trained.classes),
        DRAWING: architecture_svg(trained.layers, trained.input_shape, title=title_of(trained)),
        CARD: card(trained, formats, wanted, uint8=uint8),
        REPORT: _json(_report(trained, formats, wanted)),
    }
    for name, text in content.items():
        (folder / name).write_text(text, encoding="utf-8")
    write_sums(folder, set(files) - {SUMS})
    return tuple(files)


def _architecture(
    trained: TrainedModel, formats: Mapping[str, Verification], files: list[str], uint8: bool
) -> dict[str, Any]:
    """What rebuilds the network, what it is, and what the export holds."""
    return {
        **(asdict(trained.origin) if trained.origin else {}),
        "data": trained.data,
        "input_shape": trained.input_shape,
        "classes": trained.classes,
        "mean": trained.mean,
        "std": trained.std,
        "bits": trained.bits,
        "native": trained.native,
        **asdict(trained.layers),
        "versions": dict(trained.versions),
        "uint8": uint8,
        "formats": {name: found.files for name, found in formats.items()},
        "files": files,
    }


def _report(trained: TrainedModel, formats: Mapping[str, Verification], wanted: Reference) -> dict[str, Any]:
    """What was measured. Sizes are in bytes, latencies in seconds, accuracies in [0, 1]."""
    return {
        "images": {
            "split": "validation" if trained.images else "random",
            "count": wanted.images,
            "fingerprint": trained.data_facts.get("fingerprint"),
            "split_digest": trained.data_facts.get("split_digest"),
        },
        "metric": wanted.metric,
        "value_before_export": wanted.value,
        "accuracy_before_export": wanted.accuracy,
        "processor": wanted.processor,
        "threads": wanted.threads,
        "formats": {
            name: asdict(found)
            | {
                "largest_difference": found.largest_difference,
                "agreement": found.agreement,
                "accuracy": found.accuracy,
                "value": found.value,
            }
            for name, found in formats.items()
        },
    }


def _json(content: dict[str, Any]) -> str:
    return json.dumps(content, indent=1) + "\n"
