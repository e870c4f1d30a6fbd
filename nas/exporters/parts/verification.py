"""Whether an exported file does what the network does, on every validation image."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray

from nas.errors import InvalidSetting, NasError
from nas.exporters.parts.checking import Agreement, Request, Result, check, images_of
from nas.exporters.parts.formats import Exporter, first_line
from nas.exporters.parts.machine import processor_name
from nas.exporters.parts.pixels import normalise
from nas.exporters.parts.trained import TrainedModel

BATCHES = (1, 7, 256)
TIMED = (1, 64)

MAX_DISAGREEMENT = 0.001
"""Part of the images on which a format that loses nothing may predict another class: sums of floats in
another order can turn a tie."""


@dataclass(frozen=True, kw_only=True)
class Reference:
    """The network itself, run by PyTorch as it was trained, on the images that the files are held against."""

    logits: Path
    images: int
    """Their number."""
    accuracy: float | None
    """In [0, 1]; None on random images."""
    threads: int
    processor: str


@dataclass(frozen=True, kw_only=True)
class Verification:
    """One format, written and read back."""

    files: tuple[str, ...]
    size: int
    """Bytes of the files."""
    batches: tuple[Agreement, ...]
    """At each batch size."""
    latency: Mapping[int, float]
    """Median seconds of one run, by batch size."""

    @property
    def largest_difference(self) -> float:
        """Of any logit."""
        return float(np.max([each.largest_difference for each in self.batches]))

    @property
    def agreement(self) -> float:
        """The lowest part of the images for which the file predicts what the network does."""
        return min(each.agreement for each in self.batches)

    @property
    def accuracy(self) -> float | None:
        """The lowest, in [0, 1]; None on random images."""
        known = [each.accuracy for each in self.batches if each.accuracy is not None]
        return min(known, default=None)


@contextmanager
def reference(trained: TrainedModel) -> Iterator[Reference]:
    """Run the network on the validation images; its logits lie in a file for as long as the block.

    Raises:
        InvalidSetting: it does not take such images, or does not give one logit for each class.
    """
    import torch

    images, labels = images_of(trained.images, trained.input_shape)
    logits = _logits(trained, images)
    if logits.shape != (len(images), len(trained.classes)):
        raise InvalidSetting(
            f"The network gives {' x '.join(map(str, logits.shape[1:]))} logits for an image, and"
            f" {len(trained.classes)} classes are named."
        )
    accuracy = None if labels is None else float((logits.argmax(1) == labels).mean())
    with TemporaryDirectory() as temporary:
        file = Path(temporary, "logits.npy")
        np.save(file, logits)
        yield Reference(
            logits=file,
            images=len(images),
            accuracy=accuracy,
            threads=torch.get_num_threads(),
            processor=processor_name(),
        )


def _logits(trained: TrainedModel, images: NDArray[np.uint8]) -> NDArray[np.float32]:
    import torch

    parts = []
    try:
        with torch.inference_mode():
            for start in range(0, len(images), max(BATCHES)):
                batch = normalise(images[start : start + max(BATCHES)], trained.mean, trained.std)
                parts.append(trained.model(torch.from_numpy(batch)).numpy())
    except Exception as error:  # the code may be the author's
        shape = " x ".join(map(str, trained.input_shape))
        raise InvalidSetting(
            f"The network does not run on images of {shape} (channels x height x width): {first_line(error)}"
        ) from error
    return np.concatenate(parts)


def verify(
    name: str, trained: TrainedModel, folder: Path, files: tuple[str, ...], wanted: Reference
) -> Verification:
    """Run the files of a format in a fresh process on the images of the reference.

    Raises:
        NasError: they cannot be loaded or run.
    """
    result: Result = check(
        Request(
            format=name,
            folder=str(folder),
            shape=trained.input_shape,
            mean=trained.mean,
            std=trained.std,
            threads=wanted.threads,
            timed=TIMED,
            data=str(trained.images.folder) if trained.images else None,
            logits=str(wanted.logits),
            batches=BATCHES,
        )
    )
    return Verification(
        files=files,
        size=sum((folder / file).stat().st_size for file in files),
        batches=result.batches,
        latency=result.latency,
    )


def judge(name: str, exporter: Exporter, found: Verification, wanted: Reference, max_drop: float) -> None:
    """Raises NasError where a format does not do what the network does."""
    kind = "validation" if wanted.accuracy is not None else "random"
    if not math.isfinite(found.largest_difference):
        raise NasError(f"The format {name} failed: its logits or the network's own are no numbers.")
    if not exporter.LOSSY:
        if 1 - found.agreement > MAX_DISAGREEMENT:
            raise NasError(
                f"The format {name} failed: it predicts another class than the network on"
                f" {100 * (1 - found.agreement):.2f} % of {wanted.images:,} {kind} images"
                f" ({100 * MAX_DISAGREEMENT:g} % are allowed); logits differ by up to"
                f" {found.largest_difference:.2g}."
            )
    elif wanted.accuracy is not None and found.accuracy is not None:
        drop = wanted.accuracy - found.accuracy
        if drop > max_drop:
            raise NasError(
                f"The format {name} failed: it loses {drop:.4f} of accuracy, from {wanted.accuracy:.4f} to"
                f" {found.accuracy:.4f} on {wanted.images:,} {kind} images; --max-drop allows {max_drop:g}."
            )
