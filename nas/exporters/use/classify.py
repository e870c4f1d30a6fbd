"""Image files in, probabilities of classes out, by an exported network."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nas.datasets.image_files import MAX_PIXELS
from nas.errors import DataError, StorageError, first_line
from nas.exporters.runtime import Runtime, probabilities
from nas.exporters.use.exported import Exported
from nas.machine.texts import plural

BATCH = 64
"""Images that are classified at a time."""

BATCH_VALUES = 2**26
"""Of large images there are no more at a time than have these values together."""


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """What an image file shows, or why it cannot be said."""

    file: Path
    probabilities: dict[str, float]
    """Probability of every class, the likeliest first; empty where there is an error."""
    notes: tuple[str, ...] = ()
    """What was done to the image before the network saw it."""
    error: str | None = None


def image_files(paths: Sequence[Path], *, native: bool = False) -> tuple[list[Path], list[Path]]:
    """The paths, and in the place of every folder the image files below it, sorted; and its other files.

    Hidden ones, and what systems leave, do not exist here.

    Raises:
        DataError: a folder holds no image.
    """
    from nas.datasets.files import walk
    from nas.datasets.image_files import is_image
    from nas.datasets.junk import is_left_out

    found: list[Path] = []
    others: list[Path] = []
    for path in paths:
        if not path.is_dir():
            found.append(path)
            continue
        files, _ = walk(path, is_left_out)
        images = {path / file.path: is_image(path, file, native=native) for file in files}
        if not any(images.values()):
            count = f", and {len(files):,} other files" if files else ""
            raise DataError(f"The folder {path} holds no images{count}.")
        found += [file for file, is_one in images.items() if is_one]
        others += [file for file, is_one in images.items() if not is_one]
    return found, others


def classify(
    exported: Exported, runtime: Runtime, files: Sequence[Path], max_pixels: int = MAX_PIXELS
) -> Iterator[Prediction]:
    """What each file shows, in their order. A file that cannot be read is an answer too.

    Raises:
        StorageError: the network fails.
    """
    size = max(1, min(BATCH, BATCH_VALUES // math.prod(exported.input_shape)))
    for start in range(0, len(files), size):
        batch = files[start : start + size]
        read = [_read(file, exported, max_pixels) for file in batch]
        images = [image for image, _ in read if image is not None]
        rows = _probabilities(exported, runtime, images)
        for file, (image, said) in zip(batch, read, strict=True):
            if image is None:
                yield Prediction(file=file, probabilities={}, error=said[0])
                continue
            row = next(rows)
            best = {exported.classes[index]: float(row[index]) for index in np.argsort(-row, kind="stable")}
            yield Prediction(file=file, probabilities=best, notes=said)


def _read(file: Path, exported: Exported, max_pixels: int) -> tuple[NDArray[Any] | None, tuple[str, ...]]:
    """(height, width, channels) as the dataset would have made it, and what was done; None and why."""
    from PIL import Image, ImageOps

    from nas.datasets.convert import convert
    from nas.datasets.deep import resized
    from nas.datasets.image_files import allowing, open_image, open_native

    (channels, height, width), native = exported.input_shape, exported.native
    try:
        with allowing(max_pixels), ExitStack() as open_files:
            opened = (open_native if native else open_image)(file)
            if isinstance(opened, Image.Image):
                open_files.enter_context(opened)
            picture = convert(opened, height if height == width else None, native=native)
            pixels: NDArray[Any] = picture.pixels
            notes = [f"{kind} {done}" for kind, done in picture.remarks]
            eight = pixels.dtype == np.uint8 and pixels.shape[2] in (1, 3)
            if not eight:
                pixels = resized(pixels, width, height)
            elif pixels.shape[:2] != (height, width):
                flat = Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)
                pixels = np.asarray(ImageOps.fit(flat, (width, height), Image.Resampling.BICUBIC))
                pixels = pixels.reshape(height, width, -1)
            if picture.size != (width, height):
                notes.append("{}x{} cropped and resized to {}x{}".format(*picture.size, width, height))
            if pixels.shape[2] == 3 and channels == 1 and eight:
                notes.append("RGB image made grey")
                pixels = np.asarray(Image.fromarray(pixels).convert("L"))[..., None]
            elif pixels.shape[2] == 1 and channels == 3:
                notes.append("grey image made RGB")
            elif pixels.shape[2] != channels:
                raise ValueError(
                    f"it has {plural(pixels.shape[2], 'channel')}, and the network takes {channels}"
                )
            if 8 * pixels.itemsize < exported.bits:
                notes.append("8-bit image widened to 16 bits")
                pixels = pixels.astype(np.uint16) * 257
            elif 8 * pixels.itemsize > exported.bits:
                notes.append("16-bit image reduced to 8 bits, 65535 becoming 255")
                pixels = np.round(pixels / 257).astype(np.uint8)
            return np.broadcast_to(pixels, (height, width, channels)), tuple(notes)
    except Exception as error:  # the decoders of the many formats raise almost anything
        reason = getattr(error, "strerror", None) or first_line(error)
        return None, (" ".join(str(reason).split()),)


def _probabilities(
    exported: Exported, runtime: Runtime, images: Sequence[NDArray[Any]]
) -> Iterator[NDArray[np.float64]]:
    """Those of the classes, for each image."""
    if not images:
        return
    try:
        batch = runtime.prepare(np.stack(images), exported.mean, exported.std)
        logits = np.asarray(runtime.run(batch), np.float64)
    except Exception as error:  # whatever a runtime says
        raise StorageError(f"The network in {exported.folder} fails: {first_line(error)}") from error
    if logits.shape != (len(images), len(exported.classes)):
        raise StorageError(
            f"The network in {exported.folder} gives {' x '.join(map(str, logits.shape))} logits for"
            f" {len(images)} images, and its label set has {len(exported.classes)} classes: they do not"
            " belong together."
        )
    if not np.isfinite(logits).all():
        raise StorageError(f"The network in {exported.folder} gives logits that are no numbers.")
    yield from probabilities(logits)
