"""NumPy archives: what they may hold, and how the rest is refused."""

from pathlib import Path
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
