"""Whether an exported file does what the network does, on every validation image."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nas.errors import InvalidSetting, NasError, first_line
from nas.exporters.pixels import normalise
from nas.exporters.registry import Exporter
from nas.exporters.trained import TrainedModel
from nas.exporters.verify.measuring import Request, Result, check, images_of, processor_name
from nas.metrics.base import ClassCounts, Named, metric_title

BATCHES = (1, 7, 256)
TIMED = (1, 64)

MAX_DISAGREEMENT = 0.001
"""Part of the images on which a format that loses nothing may predict another class: sums of floats in
another order can turn a tie."""

MAX_DIFFERENCE = 1e-3
"""How far any logit of such a format may lie off, relative to the largest of all if that is above 1. Those of
our formats, spaces and baselines differ by 2e-6 at most."""

MAX_SHIFT = 1e-3
"""How far any probability of it may lie off, while logits are below 100. Measured in the same way: 3e-6."""

MAX_LOSSY_DISAGREEMENT = 0.5
"""As `MAX_DISAGREEMENT`, of a format that rounds: int8 of a network that has learnt nothing yet predicts
another class on up to 0.4 of the images, of one that knows most digits on 0.07."""

MAX_LOSSY_DIFFERENCE = 0.8
"""The mean difference of its logits, in standard deviations of the network's own. Measured: up to 0.66 of
networks that have learnt little, 0.27 of others; with probabilities in their place it is about 1."""

MAX_LOSSY_SHIFT = 0.3
"""The part of the probability that may lie on other classes, on average. Measured likewise: 0.22 and 0.12."""


@dataclass(frozen=True, kw_only=True)
class Reference:
    """The network itself, run by PyTorch as it was trained, on the images that the files are held against."""

    logits: Path
    images: int
    """Number of the images."""
    accuracy: float | None
    """Accuracy in [0, 1]; None on random images."""
    metric: str
    """What the value is."""
    value: float | None
    """In [0, 1]; None on random images."""
    largest: float
    """The largest of the absolute logits."""
    spread: float
    """Standard deviation of the logits."""
    threads: int
    processor: str


@dataclass(frozen=True, kw_only=True)
class Verification(Result):
    """One format, written and read back."""

    files: tuple[str, ...]
    size: int
    """Bytes of the files."""

    @property
    def largest_difference(self) -> float:
        """The largest difference of any logit."""
        return float(np.max([each.largest_difference for each in self.batches]))

    @property
    def agreement(self) -> float:
        """The lowest part of the images for which the file predicts what the network does."""
        return min(each.agreement for each in self.batches)

    @property
    def accuracy(self) -> float | None:
        """The lowest accuracy, in [0, 1]; None on random images."""
        known = [each.accuracy for each in self.batches if each.accuracy is not None]
        return min(known, default=None)

    @property
    def value(self) -> float | None:
        """The lowest value, in [0, 1]; None on random images."""
        known = [each.value for each in self.batches if each.value is not None]
        return min(known, default=None)


@contextmanager
def reference(trained: TrainedModel) -> Iterator[Reference]:
    """Run the network on the validation images; its logits lie in a file for as long as the block.

    Raises:
        InvalidSetting: it does not take such images, or does not give one logit for each class.
    """
    import torch

    images, labels = images_of(trained.images, trained.input_shape, trained.bits)
    logits = _logits(trained, images)
    if logits.shape != (len(images), len(trained.classes)):
        raise InvalidSetting(
            f"The network gives {' x '.join(map(str, logits.shape[1:]))} logits for an image, and"
            f" {len(trained.classes)} classes are named."
        )
    accuracy = value = None
    if labels is not None:
        counts = ClassCounts.of(labels, logits.argmax(1), len(trained.classes))
        accuracy, value = int(counts.hits.sum()) / len(images), Named(trained.metric).value(counts)
    with TemporaryDirectory() as temporary:
        file = Path(temporary, "logits.npy")
        np.save(file, logits)
        yield Reference(
            logits=file,
            images=len(images),
            accuracy=accuracy,
            metric=trained.metric,
            value=value,
            largest=float(np.abs(logits).max()),
            spread=float(logits.std()),
            threads=torch.get_num_threads(),
            processor=processor_name(),
        )


def _logits(trained: TrainedModel, images: NDArray[Any]) -> NDArray[np.float32]:
    import torch

    parts = []
    try:
        with torch.inference_mode():
            for start in range(0, len(images), max(BATCHES)):
                batch = normalise(images[start : start + max(BATCHES)], trained.mean, trained.std)
                parts.append(trained.model(torch.from_numpy(batch)).numpy())
    except (Exception, SystemExit) as error:  # the code may be the author's
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
    result = check(
        Request(
            format=name,
            folder=str(folder),
            shape=trained.input_shape,
            mean=trained.mean,
            std=trained.std,
            bits=trained.bits,
            threads=wanted.threads,
            timed=TIMED,
            metric=trained.metric,
            data=str(trained.images.folder) if trained.images else None,
            logits=str(wanted.logits),
            batches=BATCHES,
        )
    )
    size = sum((folder / file).stat().st_size for file in files)
    return Verification(**vars(result), files=files, size=size)


def judge(name: str, exporter: Exporter, found: Verification, wanted: Reference, max_drop: float) -> None:
    """Raises NasError where a format does not do what the network does."""
    kind = "validation" if wanted.accuracy is not None else "random"
    images = f"{wanted.images:,} {kind} images"
    if not math.isfinite(found.largest_difference):
        raise NasError(f"The format {name} failed: its logits or the network's own are no numbers.")
    lossy = exporter.LOSSY
    disagreement = MAX_LOSSY_DISAGREEMENT if lossy else MAX_DISAGREEMENT
    if 1 - found.agreement > disagreement:
        raise NasError(
            f"The format {name} failed: it predicts another class than the network on"
            f" {100 * (1 - found.agreement):.2f} % of {images} ({100 * disagreement:g} % are allowed); logits"
            f" differ by up to {found.largest_difference:.2g}."
        )
    if lossy:
        differs = max(each.mean_difference for each in found.batches)
        off = max(each.mean_shift for each in found.batches)
        may_differ = MAX_LOSSY_DIFFERENCE * wanted.spread + MAX_DIFFERENCE
        may_be_off = MAX_LOSSY_SHIFT
    else:
        differs = found.largest_difference
        off = max(each.largest_shift for each in found.batches)
        may_differ = MAX_DIFFERENCE * max(1, wanted.largest)
        # what floats of this size cannot tell apart moves probabilities the more
        may_be_off = MAX_SHIFT * max(1, wanted.largest / 100)
    for what, value, allowed in (("logits", differs, may_differ), ("probabilities", off, may_be_off)):
        if value > allowed:
            raise NasError(
                f"The format {name} failed: its {what} differ from the network's by"
                f" {value:.2g}{' on average' if lossy else ''} on {images} ({allowed:.2g} is allowed)."
            )
    if lossy and wanted.value is not None and found.value is not None:
        drop = wanted.value - found.value
        if drop > max_drop:
            raise NasError(
                f"The format {name} failed: it loses {drop:.4f} of {metric_title(wanted.metric)}, from"
                f" {wanted.value:.4f} to {found.value:.4f} on {images}; --max-drop allows {max_drop:g}."
            )
