"""Image files: which types are read, how one is known, and how it is opened."""

from __future__ import annotations

import io
import os
import stat
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from nas.datasets.files import FileEntry
from nas.datasets.rules import FIRST, NEWEST

if TYPE_CHECKING:  # listing files must not wait for Pillow
    from typing import Any

    from numpy.typing import NDArray
    from PIL import Image

SUFFIXES = {
    "PNG": (".png", ".apng"),
    "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif", ".jfi", ".mpo"),
    "GIF": (".gif",),
    "WEBP": (".webp",),
    "BMP": (".bmp",),
    "DIB": (".dib",),
    "TIFF": (".tif", ".tiff"),
    "AVIF": (".avif",),
    "HEIF": (".heic", ".heif"),
    "JPEG2000": (".jp2", ".j2k", ".jpx"),
    "PPM": (".pbm", ".pgm", ".pnm", ".ppm"),
    "ICO": (".ico",),
    "TGA": (".tga",),  # the last one, because anything may look like it
}
"""By Pillow's name of the type. What a file holds decides, not its suffix; and EPS is none of them, for which
Pillow starts another program."""

NPY = ".npy"
"""The suffix of an array that is one image, of any depth."""

ALL_SUFFIXES = frozenset(suffix for suffixes in SUFFIXES.values() for suffix in suffixes)
FIRST_SUFFIXES = ALL_SUFFIXES - {
    *(".apng", ".jfif", ".jfi", ".mpo", ".dib", ".heic", ".heif", ".j2k", ".jpx", ".ico"),
}

SIGNATURES = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF87a", b"GIF89a", b"RIFF....WEBP", b"....ftypavif")
HEIC = (b"....ftyphei", b"....ftyphev", b"....ftypmif1", b"....ftypmsf1")
"""How files begin; a dot stands for any byte."""

MAX_PIXELS = 250_000_000
"""Width times height of the largest image that is read unless more is allowed: 1 GB in memory."""
MAX_TEXT = 1 << 26
"""Bytes of one text or profile in a PNG; they are read, and then ignored."""

OPEN_ALREADY = ("/dev/fd/", "/dev/stdin", "/proc/self/fd/")
"""Pipes that a shell has opened for us, and that somebody fills."""

_LIMITS = threading.RLock()


def is_image(root: Path, file: FileEntry, rules: int = NEWEST, *, native: bool = False) -> bool:
    """Whether a file below `root` is read as an image: by its suffix, or its content if it has none.

    Where depth is `native`, an array is one too.
    Others may begin like an image too, and are left out: the raw photo or the backup of one beside them.
    """
    suffix = Path(file.path).suffix.lower()
    if native and suffix == NPY:
        return file.kind != "device"
    if rules == FIRST:
        return suffix in FIRST_SUFFIXES
    if file.kind == "file" and not suffix:
        return _begins_like(root / file.path, SIGNATURES + HEIC)
    return file.kind == "loop" or (file.kind != "device" and suffix in ALL_SUFFIXES)


def has_image_suffix(path: str) -> bool:
    """Whether a path ends like that of an image."""
    stem, _, suffix = path.rpartition(".")
    return bool(stem) and f".{suffix.lower()}" in ALL_SUFFIXES


@contextmanager
def allowing(max_pixels: int, rules: int = NEWEST) -> Iterator[None]:
    """Images of up to `max_pixels` are opened in this block, and no decoder warns, in whichever thread.

    Under the first rules Pillow's own limits hold. They are those of the whole process, so that one block
    waits for another.
    """
    from PIL import Image, PngImagePlugin

    with _LIMITS, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        before = Image.MAX_IMAGE_PIXELS, PngImagePlugin.MAX_TEXT_CHUNK, PngImagePlugin.MAX_TEXT_MEMORY
        if rules > FIRST:  # Pillow refuses twice as many pixels as it says
            Image.MAX_IMAGE_PIXELS = max_pixels / 2  # type: ignore[assignment]
            PngImagePlugin.MAX_TEXT_CHUNK = MAX_TEXT
            PngImagePlugin.MAX_TEXT_MEMORY = 4 * MAX_TEXT
        try:
            yield
        finally:
            Image.MAX_IMAGE_PIXELS, PngImagePlugin.MAX_TEXT_CHUNK, PngImagePlugin.MAX_TEXT_MEMORY = before


def open_native(file: Path | bytes, rules: int = NEWEST) -> Image.Image | NDArray[Any]:
    """As `open_image`; an array as it is stored, from an .npy file.

    Raises:
        OSError, ValueError and others: it cannot be read, holds Python objects, or has more pixels than are
            allowed.
    """
    if isinstance(file, bytes) or file.suffix.lower() != NPY:
        return open_image(file, rules)
    import numpy as np
    from PIL import Image

    _check_file(file)
    mapped = np.lib.format.open_memmap(file, mode="r")  # of a header that lies nothing is read
    allowed = 2 * (Image.MAX_IMAGE_PIXELS or 0)
    if allowed and mapped.ndim > 1 and mapped.shape[0] * mapped.shape[1] > allowed:
        raise ValueError(
            f"it has more pixels than the {int(allowed):,} that are allowed; allow more with --max-pixels"
        )
    return np.array(mapped)


def open_image(file: Path | bytes, rules: int = NEWEST) -> Image.Image:
    """An image file, or its content, opened; its pixels are decoded later.

    Raises:
        OSError, SyntaxError, ValueError and others: it cannot be read, or has more pixels than are allowed.
    """
    from PIL import Image, UnidentifiedImageError

    try:
        if isinstance(file, Path):
            _check_file(file)
        return Image.open(io.BytesIO(file) if isinstance(file, bytes) else file, formats=_formats(rules))
    except Image.DecompressionBombError as error:
        if rules == FIRST or Image.MAX_IMAGE_PIXELS is None:
            raise
        allowed = int(2 * Image.MAX_IMAGE_PIXELS)
        raise ValueError(
            f"it has more pixels than the {allowed:,} that are allowed; allow more with --max-pixels"
        ) from error
    except UnidentifiedImageError as error:
        if "HEIF" not in Image.OPEN and _begins_like(file, HEIC):
            raise OSError("HEIC images need pillow-heif: pip install 'optuna-nas[heif]'") from error
        raise


def _check_file(path: Path) -> None:
    """Raises OSError for what would be waited for, and for links that lead nowhere."""
    if path.is_symlink():
        try:
            is_folder = stat.S_ISDIR(path.stat().st_mode)
        except FileNotFoundError as error:
            raise OSError(f"it is a link to {os.readlink(path)}, which does not exist") from error
        except OSError as error:
            raise OSError("it is a link that leads back to itself") from error
        if is_folder:
            raise OSError(f"it is a link to {os.readlink(path)}, a folder that it lies in")
    mode = path.stat().st_mode
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode) or str(path).startswith(OPEN_ALREADY)):
        raise OSError("it is a pipe, a socket or a device, and no file")


def _formats(rules: int) -> list[str]:
    from PIL import Image

    Image.init()  # all types that this Pillow knows
    if rules == FIRST:
        return [name for name in Image.ID if name not in ("EPS", "HEIF")]
    try:
        import pillow_heif
    except ImportError:
        pass
    else:
        pillow_heif.register_heif_opener()
    return [name for name in SUFFIXES if name in Image.OPEN]


def _begins_like(file: Path | bytes, signatures: tuple[bytes, ...]) -> bool:
    try:
        start = file[:16] if isinstance(file, bytes) else _start_of(file)
    except OSError:
        return False
    return any(
        len(start) >= len(signature)
        and all(mine in (theirs, ord(".")) for mine, theirs in zip(signature, start, strict=False))
        for signature in signatures
    )


def _start_of(file: Path) -> bytes:
    with file.open("rb") as stream:
        return stream.read(16)
