"""More than a thousand damaged datasets: each is one line or a dataset, never a traceback."""

import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nas.datasets import open_data
from nas.datasets.cache import cache_folder
from nas.errors import NasError

from .samples import labels, pixels, write_folder, write_parquet

SUFFIXES = ("png", "jpg", "gif", "webp", "bmp", "tif", "avif", "jp2", "ppm", "ico", "tga")
FEW, MANY = 12, 334
"""Of each kind: in the run by default, and in all."""


def mutated(content: bytes, rng: np.random.Generator) -> bytes:
    """A few bytes changed, cut off, doubled, or all zeros from somewhere on."""
    data = np.frombuffer(content, np.uint8).copy()
    start, stop = sorted(rng.integers(0, len(data) + 1, 2))
    match rng.integers(5):
        case 0:
            data[rng.integers(0, len(data), 1 + rng.integers(8))] = rng.integers(0, 256)
        case 1:
            data = data[:stop]
        case 2:
            data[stop:] = 0
        case 3:
            data = np.concatenate([data[:stop], data[start:]])
        case _:  # where formats keep sizes
            data[rng.integers(0, min(len(data), 64), 4)] = rng.integers(0, 256, 4)
    return data.tobytes()


def damaged_image(root: Path, rng: np.random.Generator) -> str:
    suffix = SUFFIXES[rng.integers(len(SUFFIXES))]
    write_folder(root / "pets", pixels(9, 4, 4, 3), suffix="png")
    buffer = io.BytesIO()
    Image.fromarray(pixels(1, 4, 4, 3)[0]).resize((16, 16)).save(
        buffer, Image.registered_extensions()[f".{suffix}"]
    )
    (root / "pets" / "cat" / f"a.{suffix}").write_bytes(mutated(buffer.getvalue(), rng))
    return str(root / "pets")


def damaged_archive(root: Path, rng: np.random.Generator) -> str:
    buffer = io.BytesIO()
    save = np.savez_compressed if rng.integers(2) else np.savez
    save(buffer, images=pixels(9, 4, 4, 3), labels=labels(9))
    (root / "a.npz").write_bytes(mutated(buffer.getvalue(), rng))
    return str(root / "a.npz")


def damaged_cache(root: Path, rng: np.random.Generator) -> str:
    write_folder(root / "pets", pixels(9, 4, 4, 3))
    files = sorted(open_data(str(root / "pets"), image_size=4).folder.iterdir())
    file = files[rng.integers(len(files))]
    file.write_bytes(mutated(file.read_bytes(), rng))
    return str(root / "pets")


def damaged_table(root: Path, rng: np.random.Generator) -> str:
    write_folder(root / "pets", pixels(9, 4, 4, 3))
    names = [f"{path.parent.name}/{path.name}" for path in sorted(root.rglob("*.png"))]
    kind, delimiter = rng.integers(3), ",;\t"[rng.integers(3)]
    if kind == 2:
        rows = [json.dumps({"file_name": name, "label": name[:3], "group": name[4:7]}) for name in names]
    else:
        rows = [delimiter.join((name[: -4 * kind or None], name[:3], name[4:7])) for name in names]
        rows.insert(0, delimiter.join(("image", "label", "patient_id")))
    file = root / "pets" / ("a.csv", "a.tsv", "a.jsonl")[kind]
    file.write_bytes(mutated("\n".join(rows).encode("utf-8" if rng.integers(8) else "utf-16"), rng))
    return str(file)


def damaged_parquet(root: Path, rng: np.random.Generator) -> str:
    file = root / "a.parquet"
    write_parquet(
        file, pixels(12, 4, 4, 3), labels(12), ("cat", "dog", "emu"), group=int(rng.integers(1, 12))
    )
    file.write_bytes(mutated(file.read_bytes(), rng))
    return str(file)


def check(make: Callable[[Path, np.random.Generator], str], root: Path, seed: int) -> None:
    rng = np.random.default_rng(seed)
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir()
    source = make(root, rng)
    said, data = None, None
    try:
        data = open_data(source, image_size=4, skip_broken=make in SKIPPED and seed % 2 == 0)
        assert len(data.train) + len(data.val) + len(data.open_test()) == sum(data.counts.values()) > 0
    except NasError as error:
        said = str(error)
    if make in (damaged_table, damaged_parquet):
        folders = [file for file in cache_folder("x").parent.glob("*") if file.is_dir()]
        assert len(folders) == (data is not None), "nothing is left half-written"
        shutil.rmtree(cache_folder("x").parent, ignore_errors=True)
    if said is not None:
        assert "\n" not in said
        # damaged test images are noticed when they are opened
        assert said.startswith(source if data is None else "The decoded test split in")
        assert data is None or make is damaged_cache


SKIPPED = (damaged_image, damaged_table, damaged_parquet)
"""Kinds that are opened with `skip_broken`, too."""
KINDS = [damaged_image, damaged_archive, damaged_cache, damaged_table, damaged_parquet]


@pytest.mark.parametrize("make", KINDS)
def test_a_few(tmp_path: Path, make: Callable[[Path, np.random.Generator], str]) -> None:
    for seed in range(FEW):
        check(make, tmp_path / "root", seed)


@pytest.mark.slow
@pytest.mark.parametrize("make", KINDS)
def test_many(tmp_path: Path, make: Callable[[Path, np.random.Generator], str]) -> None:
    for seed in range(FEW, MANY):
        check(make, tmp_path / "root", seed)
