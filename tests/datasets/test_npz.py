"""NumPy archives: what they may hold, and how the rest is refused."""

import io
import tracemalloc
import zipfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from nas.datasets import open_data
from nas.errors import DataError

from .samples import labels, pixels

IMAGES, LABELS = pixels(24, 4, 5), labels(24)


@pytest.mark.parametrize(
    "images",
    [
        IMAGES,
        IMAGES[..., None],
        IMAGES.astype(np.int64),
        IMAGES.astype(np.float32),
        IMAGES / 255,
        (IMAGES / 255).astype(np.float32),
    ],
    ids=["uint8", "one channel", "int64", "float to 255", "float64 to 1", "float32 to 1"],
)
def test_pixels_come_out_the_same_however_they_are_stored(tmp_path: Path, images: Any) -> None:
    np.savez(tmp_path / "a.npz", images=images, labels=LABELS)
    data = open_data(str(tmp_path / "a.npz"))
    out = np.concatenate([data.train.images, data.val.images, data.open_test().images])
    assert {image.tobytes() for image in out} == {image.tobytes() for image in IMAGES}


def test_a_fourth_channel_is_transparency(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", images=pixels(24, 4, 5, 4), labels=LABELS)
    data = open_data(str(tmp_path / "a.npz"))
    assert data.info.shape == (3, 4, 5)
    assert data.notes == ("24 RGBA images blended onto black",)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x": IMAGES, "y": LABELS}, "it needs the arrays images and labels, and holds x, y"),
        ({"images": IMAGES}, "it has no array labels"),
        ({"images": IMAGES[0], "labels": LABELS}, r"images is \(4, 5\); it must be \(n, height, width\)"),
        ({"images": pixels(24, 4, 5, 2), "labels": LABELS}, r"images is \(24, 4, 5, 2\)"),
        ({"images": pixels(24, 3, 4, 5), "labels": LABELS}, r"transpose\(0, 2, 3, 1\)"),
        ({"images": IMAGES[:0], "labels": LABELS[:0]}, r"images is \(0, 4, 5\)"),
        ({"images": IMAGES.astype(str), "labels": LABELS}, "must hold integers or floats"),
        ({"images": IMAGES - 300.5, "labels": LABELS}, "values range from -300.5"),
        ({"images": IMAGES * np.nan, "labels": LABELS}, "values range from nan"),
        ({"images": IMAGES.astype(int) + 1, "labels": LABELS}, "range from 1 to 256"),
        ({"images": IMAGES, "labels": LABELS[:-1]}, "must be 24 integers"),
        ({"images": IMAGES, "labels": np.eye(3)[LABELS]}, "must be 24 integers"),
        ({"images": IMAGES, "labels": LABELS / 1}, "must be 24 integers"),
        ({"images": IMAGES, "labels": LABELS.astype(int) - 1}, "there is a label -1"),
        ({"images": IMAGES, "labels": np.array([0, 1, 3])[LABELS]}, "no image has label 2, but one has 3"),
        ({"images": IMAGES, "labels": LABELS * 0}, "one class only"),
        ({"images": np.array([None] * 24), "labels": LABELS}, "no readable .npz file"),
    ],
    ids=lambda value: value[:30] if isinstance(value, str) else "",
)
def test_arrays_that_make_no_dataset_are_refused(
    tmp_path: Path, arrays: dict[str, Any], message: str
) -> None:
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(DataError, match=f"{tmp_path / 'a.npz'}.*{message}"):
        open_data(str(tmp_path / "a.npz"))


@pytest.mark.parametrize("content", [b"", b"no archive", b"PK\x03\x04 cut off"])
def test_a_damaged_archive_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.npz").write_bytes(content)
    with pytest.raises(DataError, match=r"no readable .npz file"):
        open_data(str(tmp_path / "a.npz"))


def npy_header(shape: str, descr: str = "|u1") -> bytes:
    """That of an array in the .npy format, whatever follows it."""
    header = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header


def pickled() -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, np.array([print] * 24, object))
    return buffer.getvalue()


HONEST = npy_header("(24, 4, 5)") + IMAGES.tobytes()
ZEROS = npy_header("(16400, 64, 64)") + bytes(16400 * 64 * 64)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (npy_header("(100000000000, 4, 5)") + bytes(480), "header of images tells of uint8"),
        (npy_header("(8388608, 32, 32)") + bytes(480), "header of images tells of uint8"),
        (npy_header(f"({10**18}, {10**18})") + bytes(480), "header of images tells of uint8"),
        (npy_header("(-24, 4, 5)") + bytes(480), "header of images tells of uint8"),
        (npy_header("(24, 4, 5)") + bytes(999), "header of images tells of uint8"),
        (npy_header("(24, 4, 5)", "|O") + bytes(480), "images holds Python objects"),
        (npy_header("(24, 4, 5)").replace(b"\x01\x00", b"\x03\x00", 1) + bytes(480), "is of version 3.0"),
        (npy_header("(" * 400) + bytes(480), "no readable .npz file"),
        (npy_header("None") + bytes(480), "no readable .npz file"),
        (b"no array", "no readable .npz file"),
        (pickled(), "images holds Python objects"),
        (ZEROS, "67,174,400 bytes of images are packed into 6.,..., .*numpy.savez"),
        (npy_header("(900000, 1, 1)") + bytes(900000), "packed into .*, tighter than images are"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_an_archive_that_lies_is_one_line_and_takes_no_memory(
    tmp_path: Path, images: bytes, message: str
) -> None:
    with zipfile.ZipFile(tmp_path / "a.npz", "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        archive.writestr("images.npy", images)
        archive.writestr("labels.npy", npy_header("(24,)") + LABELS.tobytes())
    tracemalloc.start()
    try:
        with pytest.raises(DataError, match=f"{tmp_path / 'a.npz'}.*{message}"):
            open_data(str(tmp_path / "a.npz"))
        assert tracemalloc.get_traced_memory()[1] < 1 << 23
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("top", [3 * 10**9, 10**18, 2**64 - 1], ids=str)
def test_labels_of_any_size_are_one_line_and_take_no_memory(tmp_path: Path, top: int) -> None:
    labels = LABELS.astype(np.uint64)
    labels[7] = top
    np.savez(tmp_path / "a.npz", images=IMAGES, labels=labels)
    with pytest.raises(DataError, match=rf"(has|is a label) {top}[;.]"):
        open_data(str(tmp_path / "a.npz"))


def test_what_does_not_fit_into_memory_is_told_before_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    np.savez(tmp_path / "a.npz", images=IMAGES, labels=LABELS)
    monkeypatch.setattr("psutil.virtual_memory", lambda: SimpleNamespace(available=1000))
    with pytest.raises(DataError, match=r"needs 0.0 GiB of memory, and 0.0 GiB are free"):
        open_data(str(tmp_path / "a.npz"))


def test_what_is_packed_tightly_but_honestly_is_read(tmp_path: Path) -> None:
    np.savez_compressed(
        tmp_path / "a.npz", images=np.zeros((300, 64, 64), np.uint8), labels=np.arange(300) % 3
    )
    assert sum(open_data(str(tmp_path / "a.npz")).counts.values()) == 300


def test_arrays_that_nobody_asked_for_are_not_read(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", images=IMAGES, labels=LABELS, authors=np.array([print]))
    assert sum(open_data(str(tmp_path / "a.npz")).counts.values()) == 24
