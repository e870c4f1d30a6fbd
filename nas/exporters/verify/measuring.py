"""An exported file, loaded by its own runtime in a fresh process and measured on images.

python -m nas.exporters.verify.measuring REQUEST RESULT    reads one JSON file and writes the other
"""

from __future__ import annotations

import json
import math
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nas.datasets.image_data import ImageData
from nas.errors import NasError, first_line
from nas.exporters.registry import load_exporter
from nas.exporters.runtime import Runtime, probabilities
from nas.machine import children
from nas.metrics.base import ACCURACY, ClassCounts, Named

PROCESS = "nas.exporters.verify.measuring"

RANDOM_IMAGES = 256
"""Images that are drawn where there is no dataset."""

RANDOM_BYTES = 2**28
"""Of large images there are no more than take these bytes."""

SECONDS = 0.3
"""Seconds for which a latency is measured."""

LEAST, MOST = 10, 1000
"""The runs that the measuring of a latency takes at least and at most."""


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
    bits: int = 8
    """Of a value of random images."""
    metric: str = ACCURACY
    """What the value of predictions is."""
    data: str | None = None
    """Folder of the decoded dataset whose validation images are used; None for random images."""
    logits: str | None = None
    """File of the logits (images, classes) to agree with; None to measure latencies alone."""
    batches: tuple[int, ...] = ()
    """Batch sizes in which the logits are computed."""
    seconds: float = field(default_factory=lambda: SECONDS)
    """Seconds for which each latency is measured."""


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """How a file's logits compare with the network's, at one batch size."""

    batch_size: int
    largest_difference: float
    """The largest of any logit; NaN where any is no number."""
    mean_difference: float
    """The root of the mean of the squares, over all logits."""
    largest_shift: float
    """The most that the probability of any class differs."""
    mean_shift: float
    """The part of an image's probability that other classes have, half the sum of what differs; mean of all
    images."""
    agreement: float
    """Part of the images for which both predict the same class."""
    accuracy: float | None
    """Accuracy of the file's predictions, in [0, 1]; None on random images."""
    value: float | None
    """The metric of the file's predictions, in [0, 1]; None likewise."""


@dataclass(frozen=True, kw_only=True)
class Result:
    """What was measured."""

    batches: tuple[Agreement, ...]
    """Agreement with the network at each batch size."""
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
    data: ImageData | None, shape: tuple[int, int, int], bits: int = 8
) -> tuple[NDArray[Any], NDArray[np.int64] | None]:
    """The validation images (n, height, width, channels) with their labels, or random images without."""
    if data is not None:
        return data.val.images, data.val.labels
    channels, height, width = shape
    random = np.random.default_rng(0)
    count = max(1, min(RANDOM_IMAGES, RANDOM_BYTES // (channels * height * width)))
    return random.integers(0, 2**bits, (count, height, width, channels), dtype=f"uint{bits}"), None


def processor_name() -> str:
    """What the maker of this machine's processor calls it."""
    with suppress(OSError):  # platform knows it everywhere but on Linux
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _measure(request: Request) -> Result:
    data = ImageData.open(Path(request.data)) if request.data else None
    images, labels = images_of(data, request.shape, request.bits)
    runtime = load_exporter(request.format).load(Path(request.folder), request.threads)
    reference = np.load(request.logits) if request.logits else None
    agreements = tuple(
        agreement(request, runtime, images, labels, reference, size)
        for size in request.batches
        if reference is not None
    )
    latency = {size: _latency(request, runtime, images, size) for size in request.timed}
    return Result(batches=agreements, latency=latency)


def agreement(
    request: Request,
    runtime: Runtime,
    images: NDArray[Any],
    labels: NDArray[np.int64] | None,
    reference: NDArray[np.float32],
    batch_size: int,
) -> Agreement:
    """How the logits of `runtime` compare with those of `reference`, for images in batches of this size."""
    largest, same = 0.0, 0
    classes: list[NDArray[np.int64]] = []
    squares, largest_shift, shifts = 0.0, 0.0, 0.0
    for start in range(0, len(images), batch_size):
        rows = slice(start, start + batch_size)
        logits = runtime.run(runtime.prepare(images[rows], request.mean, request.std))
        if logits.shape != reference[rows].shape:
            raise ValueError(f"its logits are {logits.shape}, the network's {reference[rows].shape}")
        # max() of Python would pass over NaN
        largest = float(np.max([largest, np.abs(logits - reference[rows]).max()]))
        squares += float(np.square(logits - reference[rows], dtype=np.float64).sum())
        shift = np.abs(probabilities(logits) - probabilities(reference[rows]))
        largest_shift = float(np.max([largest_shift, shift.max()]))
        shifts += float(shift.sum() / 2)
        predicted = logits.argmax(1)
        same += int((predicted == reference[rows].argmax(1)).sum())
        classes.append(predicted)
    found = None
    if labels is not None:
        found = ClassCounts.of(labels, np.concatenate(classes), reference.shape[1])
    return Agreement(
        batch_size=batch_size,
        largest_difference=largest,
        mean_difference=math.sqrt(squares / reference.size),
        largest_shift=largest_shift,
        mean_shift=shifts / len(images),
        agreement=same / len(images),
        accuracy=None if found is None else int(found.hits.sum()) / len(images),
        value=None if found is None else Named(request.metric).value(found),
    )


def _latency(request: Request, runtime: Runtime, images: NDArray[Any], batch_size: int) -> float:
    """Median seconds of a run on images that are prepared already."""
    rows = np.arange(batch_size) % len(images)
    batch = runtime.prepare(images[rows], request.mean, request.std)
    for _ in range(3):
        runtime.run(batch)
    times: list[float] = []
    end = time.perf_counter() + request.seconds
    while len(times) < LEAST or (time.perf_counter() < end and len(times) < MOST):
        start = time.perf_counter()
        runtime.run(batch)
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def _main(arguments: Sequence[str]) -> None:
    asked, answered = map(Path, arguments)
    content = json.loads(asked.read_text(encoding="utf-8"))
    try:
        result = _measure(Request(**content))
    except (Exception, SystemExit) as error:  # of the runtime, or of the code in the file
        sys.exit(f"{type(error).__name__}: {first_line(error)}")
    answered.write_text(json.dumps(asdict(result)), encoding="utf-8")


if __name__ == "__main__":
    _main(sys.argv[1:])
