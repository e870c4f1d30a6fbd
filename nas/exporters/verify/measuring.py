"""What runs in a fresh process: an exported file, loaded by its own runtime, measured on images.

python -m nas.exporters.verify.measuring REQUEST RESULT    reads one JSON file and writes the other
"""

from __future__ import annotations

import json
import math
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nas.datasets.image_data import ImageData
from nas.errors import first_line
from nas.exporters.registry import load_exporter
from nas.exporters.runtime import Runtime, probabilities
from nas.exporters.verify.checking import Agreement, Request, Result, images_of

LEAST, MOST = 10, 1000
"""The runs that the measuring of a latency takes at least and at most."""


def _measure(request: Request) -> Result:
    data = ImageData.open(Path(request.data)) if request.data else None
    images, labels = images_of(data, request.shape)
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
    images: NDArray[np.uint8],
    labels: NDArray[np.int64] | None,
    reference: NDArray[np.float32],
    batch_size: int,
) -> Agreement:
    """How the logits of `runtime` compare with those of `reference`, for images in batches of this size."""
    largest, same, correct = 0.0, 0, 0
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
        correct += 0 if labels is None else int((predicted == labels[rows]).sum())
    return Agreement(
        batch_size=batch_size,
        largest_difference=largest,
        mean_difference=math.sqrt(squares / reference.size),
        largest_shift=largest_shift,
        mean_shift=shifts / len(images),
        agreement=same / len(images),
        accuracy=None if labels is None else correct / len(images),
    )


def _latency(request: Request, runtime: Runtime, images: NDArray[np.uint8], batch_size: int) -> float:
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
    content: dict[str, Any] = json.loads(asked.read_text(encoding="utf-8"))
    try:
        result = _measure(Request(**content))
    except (Exception, SystemExit) as error:  # of the runtime, or of the code in the file
        sys.exit(f"{type(error).__name__}: {first_line(error)}")
    answered.write_text(json.dumps(asdict(result)), encoding="utf-8")


if __name__ == "__main__":
    _main(sys.argv[1:])
