"""An exported file, held against the network in a fresh process: what is asked of it, and its answer."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict, dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray

from nas.datasets.image_data import ImageData
from nas.errors import NasError
from nas.machine import children

PROCESS = "nas.exporters.verify.measuring"

RANDOM_IMAGES = 256
"""Without a dataset."""

RANDOM_BYTES = 2**28
"""Of large images there are no more than take these bytes."""

SECONDS = 0.3
"""How long a latency is measured."""


@dataclass(frozen=True, kw_only=True)
class Request:
    """What to measure."""

    format: str
    folder: str
    shape: tuple[int, int, int]
    """(channels, height, width)"""
    mean: tuple[float, ...]
    std: tuple[float, ...]
    threads: int
    timed: tuple[int, ...]
    """Batch sizes whose latency is measured."""
    data: str | None = None
    """Folder of the decoded dataset whose validation images are used; None for random images."""
    logits: str | None = None
    """File of the logits (images, classes) to agree with; None to measure latencies alone."""
    batches: tuple[int, ...] = ()
    """Batch sizes in which these are computed."""
    seconds: float = field(default_factory=lambda: SECONDS)
    """How long each latency is measured."""


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """How a file's logits compare with the network's, at one batch size."""

    batch_size: int
    largest_difference: float
    """Of any logit; NaN where any is no number."""
    mean_difference: float
    """Of all logits: the root of the mean of the squares."""
    largest_shift: float
    """Of the probability of any class."""
    mean_shift: float
    """The part of an image's probability that other classes have, half the sum of what differs; mean of all
    images."""
    agreement: float
    """Part of the images for which both predict the same class."""
    accuracy: float | None
    """Of the file's predictions, in [0, 1]; None on random images."""


@dataclass(frozen=True, kw_only=True)
class Result:
    """What was measured."""

    batches: tuple[Agreement, ...]
    latency: dict[int, float]
    """Median seconds of one run, by batch size."""


def check(request: Request) -> Result:
    """Measure an exported file in a fresh process.

    Raises:
        NasError: the file cannot be loaded or run; the message is the last line that the process said.
    """
    with TemporaryDirectory() as temporary:
        asked, answered = Path(temporary, "request.json"), Path(temporary, "result.json")
        asked.write_text(json.dumps(asdict(request)), encoding="utf-8")
        # -B leaves no bytecode in the export; -P imports nothing from the folder the user is in
        command = [sys.executable, "-B", "-P", "-m", PROCESS, str(asked), str(answered)]
        run = subprocess.run(
            command, capture_output=True, text=True, errors="replace", env=children.environment()
        )
        if run.returncode or not answered.exists():
            lines = run.stderr.strip().splitlines() or [f"it ended with exit code {run.returncode}"]
            raise NasError(f"The exported {request.format} file does not run: {lines[-1]}")
        content = json.loads(answered.read_text(encoding="utf-8"))
    return Result(
        batches=tuple(Agreement(**each) for each in content["batches"]),
        latency={int(size): seconds for size, seconds in content["latency"].items()},
    )


def images_of(
    data: ImageData | None, shape: tuple[int, int, int]
) -> tuple[NDArray[np.uint8], NDArray[np.int64] | None]:
    """The validation images (n, height, width, channels) with their labels, or random images without."""
    if data is not None:
        return data.val.images, data.val.labels
    channels, height, width = shape
    random = np.random.default_rng(0)
    count = max(1, min(RANDOM_IMAGES, RANDOM_BYTES // (channels * height * width)))
    return random.integers(0, 256, (count, height, width, channels), dtype=np.uint8), None
