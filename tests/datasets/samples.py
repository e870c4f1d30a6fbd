"""Small datasets in the real formats of every kind of source, written for a test."""

import bz2
import csv
import io
import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from nas.testing import Sample

TRAIN, TEST = 24, 6
CLASSES = 3
Pixels = NDArray[np.uint8]

COLOURS = ("brightness", "contrast", "noise")
ALL = ("shift", "flip", "alternating_flip", "rotation", *COLOURS, "cutout")
NO_FLIP = ("shift", "rotation", *COLOURS, "cutout")
NO_COLOURS = ("shift", "flip", "alternating_flip", "rotation", "cutout")
CUT_BOTH = {"train": 18, "val": 3, "test": 3}
CUT_VAL = {"train": 21, "val": 3, "test": TEST}
OWN = {"train": TRAIN, "val": TEST, "test": TEST}


def pixels(count: int, *shape: int, seed: int = 0) -> Pixels:
    """Images that all differ."""
    return np.random.default_rng(seed).integers(0, 256, (count, *shape), dtype=np.uint8)


def labels(count: int) -> NDArray[np.uint8]:
    """0, 1, 2, 0, 1, 2, ..."""
    return (np.arange(count) % CLASSES).astype(np.uint8)


def write_folder(
    root: Path,
    images: Pixels | NDArray[np.uint16],
    names: tuple[str, ...] = ("cat", "dog", "emu"),
    suffix: str = "png",
) -> None:
    """A class folder for each name, the images dealt out in turn."""
    for index, image in enumerate(images):
        path = root / names[index % len(names)] / f"{index:03}.{suffix}"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(path)


def digits(root: Path, patch: pytest.MonkeyPatch) -> Sample:
    counts = {"train": 1259, "val": 269, "test": 269}
    return Sample("digits", (1, 8, 8), tuple("0123456789"), counts, NO_FLIP, distinct=False)


def folder(root: Path, patch: pytest.MonkeyPatch) -> Sample:
    write_folder(root / "pets", pixels(TRAIN, 6, 5, 3))
    return Sample(str(root / "pets"), (3, 6, 5), ("cat", "dog", "emu"), CUT_BOTH, ALL, files=root / "pets")


def split_folder(root: Path, patch: pytest.MonkeyPatch) -> Sample:
    for split, seed in (("train", 0), ("val", 1), ("test", 2)):
        write_folder(root / "pets" / split, pixels(TRAIN if split == "train" else TEST, 4, 4, seed=seed))
    return Sample(
        f"{root / 'pets'}/",
        (1, 4, 4),
        ("cat", "dog", "emu"),
        OWN,
        ALL,
        _by_class(pixels(TEST, 4, 4, seed=2))[..., None],
        root / "pets",
        seed_matters=False,
    )


def npz(root: Path, patch: pytest.MonkeyPatch) -> Sample:
    path = root / "birds.npz"
    np.savez(path, images=pixels(TRAIN, 6, 5), labels=labels(TRAIN))
    return Sample(str(path), (1, 6, 5), ("0", "1", "2"), CUT_BOTH, ALL, files=path)


def split_npz(root: Path, patch: pytest.MonkeyPatch) -> Sample:
    path, test = root / "birds.npz", pixels(TEST, 6, 5, 3, seed=1)
    arrays: dict[str, Any] = {"train_images": pixels(TRAIN, 6, 5, 3), "train_labels": labels(TRAIN)[:, None]}
    np.savez_compressed(path, **arrays, test_images=test, test_labels=labels(TEST)[:, None])
    return Sample(str(path), (3, 6, 5), ("0", "1", "2"), CUT_VAL, ALL, test, path)


def table(root: Path, patch: pytest.MonkeyPatch) -> Sample:
    write_folder(root / "images", pixels(TRAIN, 6, 5, 3))
    rows = [f"{path.stem};{path.parent.name}" for path in sorted(root.rglob("*.png"))]
    (root / "pets.csv").write_text("\n".join(["\ufeffid;breed", *reversed(rows)]), encoding="utf-8")
    path = str(root / "pets.csv")
    return Sample(path, (3, 6, 5), ("cat", "dog", "emu"), CUT_BOTH, ALL, files=root / "pets.csv")


def tables(root: Path, patch: pytest.MonkeyPatch) -> Sample:
    """As Hugging Face lays out a folder of images."""
    for split, seed in (("train", 0), ("val", 1), ("test", 2)):
        images = pixels(TRAIN if split == "train" else TEST, 4, 4, seed=seed)
        for index, image in enumerate(images):
            path = root / "pets" / split / f"{index:03}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image).save(path)
        names = ("cat", "dog", "emu")
        lines = [{"file_name": f"{i:03}.png", "label": names[i % CLASSES]} for i in range(len(images))]
        (path.parent / "metadata.jsonl").write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    return Sample(
        str(root / "pets"),
        (1, 4, 4),
        ("cat", "dog", "emu"),
        OWN,
        ALL,
        pixels(TEST, 4, 4, seed=2)[..., None],
        root / "pets",
        seed_matters=False,
    )


def shards(root: Path, patch: pytest.MonkeyPatch) -> Sample:
    """As Hugging Face stores a dataset: split over files, the images inside."""
    classes, test = ("emu", "cat", "dog"), pixels(TEST, 4, 4, 3, seed=1)
    for name, images in (
        ("train-00000-of-00002", pixels(TRAIN, 4, 4, 3)[:10]),
        ("train-00001-of-00002", pixels(TRAIN, 4, 4, 3)[10:]),
        ("test-00000-of-00001", test),
    ):
        start = 10 if name.startswith("train-00001") else 0
        write_parquet(root / "pets/data" / f"{name}.parquet", images, labels(TRAIN)[start:], classes)
    return Sample(str(root / "pets"), (3, 4, 4), classes, CUT_VAL, ALL, test, root / "pets")


def deep_folder(root: Path, patch: pytest.MonkeyPatch) -> Sample:
    """Grey images of 16 bits."""
    write_folder(root / "scans", deep_pixels(TRAIN, 6, 5))
    return Sample(
        str(root / "scans"),
        (1, 6, 5),
        ("cat", "dog", "emu"),
        CUT_BOTH,
        NO_COLOURS,
        files=root / "scans",
        options={"depth": "native"},
        bits=16,
    )


def bands(root: Path, patch: pytest.MonkeyPatch) -> Sample:
    """Five channels of 16 bits, with a test split."""
    path, test = root / "bands.npz", deep_pixels(TEST, 6, 5, 5, seed=1)
    arrays: dict[str, Any] = {"train_images": deep_pixels(TRAIN, 6, 5, 5), "train_labels": labels(TRAIN)}
    np.savez(path, **arrays, test_images=test, test_labels=labels(TEST))
    return Sample(
        str(path),
        (5, 6, 5),
        ("0", "1", "2"),
        CUT_VAL,
        NO_COLOURS,
        test,
        path,
        options={"depth": "native"},
        bits=16,
    )


def deep_pixels(count: int, *shape: int, seed: int = 0) -> NDArray[np.uint16]:
    """As `pixels`, of 16 bits."""
    return np.random.default_rng(seed).integers(0, 65536, (count, *shape), dtype=np.uint16)


def write_parquet(
    path: Path, images: Pixels, of_images: NDArray[np.uint8], classes: tuple[str, ...], group: int = 4
) -> None:
    """PNG images without paths, numbers as labels, and the names of the numbers beside them."""
    import pyarrow as pa
    from pyarrow import parquet

    contents = []
    for image in images:
        buffer = io.BytesIO()
        Image.fromarray(image).save(buffer, "PNG")
        contents.append({"bytes": buffer.getvalue(), "path": None})
    kind = pa.struct({"bytes": pa.binary(), "path": pa.string()})
    columns = {"image": pa.array(contents, kind), "label": of_images[: len(images)].astype(np.int64)}
    features = {"image": {"_type": "Image"}, "label": {"names": list(classes), "_type": "ClassLabel"}}
    told = {"huggingface": json.dumps({"info": {"features": features}})}
    path.parent.mkdir(parents=True, exist_ok=True)
    parquet.write_table(pa.table(columns).replace_schema_metadata(told), path, row_group_size=group)


def mnist(root: Path, patch: pytest.MonkeyPatch) -> Sample:
    test = pixels(TEST, 28, 28, seed=1)
    for part, images in (("train", pixels(TRAIN, 28, 28)), ("t10k", test)):
        _write_idx(root / f"MNIST/raw/{part}-images-idx3-ubyte", images)
        _write_idx(root / f"MNIST/raw/{part}-labels-idx1-ubyte", labels(len(images)))
    names = ("0 - zero", "1 - one", "2 - two")
    return Sample("mnist", (1, 28, 28), names, CUT_VAL, NO_FLIP, test[..., None], root, {"data_dir": root})


def qmnist(root: Path, patch: pytest.MonkeyPatch) -> Sample:
    test = pixels(TEST, 28, 28, seed=1)
    for part, images in (("train", pixels(TRAIN, 28, 28)), ("test", test)):
        table = np.zeros((len(images), 8), ">i4")
        table[:, 0], table[:, 1:] = labels(len(images)), 99
        _write_idx(root / f"QMNIST/raw/qmnist-{part}-images-idx3-ubyte", images)
        _write_idx(root / f"QMNIST/raw/qmnist-{part}-labels-idx2-int", table)
    names = ("0 - zero", "1 - one", "2 - two")
    return Sample("qmnist", (1, 28, 28), names, CUT_VAL, NO_FLIP, test[..., None], root, {"data_dir": root})


def emnist_letters(root: Path, patch: pytest.MonkeyPatch) -> Sample:
    test = pixels(TEST, 28, 28, seed=1)
    for part, images in (("train", pixels(TRAIN, 28, 28)), ("test", test)):
        _write_idx(root / f"EMNIST/raw/emnist-letters-{part}-images-idx3-ubyte", images)
        _write_idx(root / f"EMNIST/raw/emnist-letters-{part}-labels-idx1-ubyte", labels(len(images)) + 1)
    options = {"data_dir": root}
    return Sample(
        "emnist_letters", (1, 28, 28), ("a", "b", "c"), CUT_VAL, NO_FLIP, test[..., None], root, options
    )


def cifar10(root: Path, patch: pytest.MonkeyPatch) -> Sample:
    from torchvision.datasets import CIFAR10

    batches = root / "cifar-10-batches-py"
    batches.mkdir()
    train, test = pixels(TRAIN, 32, 32, 3), pixels(TEST, 32, 32, 3, seed=1)
    names = [f"data_batch_{number}" for number in range(1, 6)]
    for name, rows in zip(names, np.array_split(np.arange(TRAIN), 5), strict=True):
        _write_cifar_batch(batches / name, train[rows], labels(TRAIN)[rows])
    _write_cifar_batch(batches / "test_batch", test, labels(TEST))
    (batches / "batches.meta").write_bytes(pickle.dumps({"label_names": ["airplane", "automobile", "bird"]}))
    patch.setattr(CIFAR10, "train_list", [[name, None] for name in names])
    patch.setattr(CIFAR10, "test_list", [["test_batch", None]])
    patch.setattr(CIFAR10, "meta", {**CIFAR10.meta, "md5": None})
    classes = ("airplane", "automobile", "bird")
    return Sample("cifar10", (3, 32, 32), classes, CUT_VAL, ALL, test, root, {"data_dir": root})


def svhn(root: Path, patch: pytest.MonkeyPatch) -> Sample:
    from scipy.io import savemat  # type: ignore[import-untyped]
    from torchvision.datasets import SVHN

    test = pixels(TEST, 32, 32, 3, seed=1)
    for part, images in (("train", pixels(TRAIN, 32, 32, 3)), ("test", test)):
        of_part = labels(len(images))[:, None]
        digits_from_one = np.where(of_part == 0, 10, of_part)
        savemat(root / f"{part}_32x32.mat", {"X": images.transpose(1, 2, 3, 0), "y": digits_from_one})
    unchecked = {part: ["", f"{part}_32x32.mat", None] for part in ("train", "test")}
    patch.setattr(SVHN, "split_list", unchecked)
    return Sample("svhn", (3, 32, 32), ("0", "1", "2"), CUT_VAL, NO_FLIP, test, root, {"data_dir": root})


def stl10(root: Path, patch: pytest.MonkeyPatch) -> Sample:
    from torchvision.datasets import STL10

    binary = root / "stl10_binary"
    binary.mkdir()
    test = pixels(TEST, 96, 96, 3, seed=1)
    for part, images in (("train", pixels(TRAIN, 96, 96, 3)), ("test", test)):
        images.transpose(0, 3, 2, 1).tofile(binary / f"{part}_X.bin")
        (labels(len(images)) + 1).tofile(binary / f"{part}_y.bin")
    (binary / "unlabeled_X.bin").touch()
    (binary / "class_names.txt").write_text("airplane\nbird\ncar\n")
    for name in ("train_list", "test_list"):
        patch.setattr(STL10, name, [[file, None] for file, _ in getattr(STL10, name)])
    classes = ("airplane", "bird", "car")
    return Sample("stl10", (3, 96, 96), classes, CUT_VAL, ALL, test, root, {"data_dir": root})


def usps(root: Path, patch: pytest.MonkeyPatch) -> Sample:
    for name, images in (("usps.bz2", pixels(TRAIN, 256)), ("usps.t.bz2", pixels(TEST, 256, seed=1))):
        rows = zip(images / 127.5 - 1, labels(len(images)) + 1, strict=True)
        lines = (
            " ".join([str(label), *(f"{number}:{value:.4f}" for number, value in enumerate(image, 1))])
            for image, label in rows
        )
        (root / name).write_bytes(bz2.compress("\n".join(lines).encode()))
    options = {"data_dir": root}
    return Sample("usps", (1, 16, 16), ("0", "1", "2"), CUT_VAL, NO_FLIP, files=root, options=options)


def eurosat(root: Path, patch: pytest.MonkeyPatch) -> Sample:
    classes = ("AnnualCrop", "Forest", "River")
    write_folder(root / "eurosat/2750", pixels(TRAIN, 64, 64, 3), classes, "jpg")
    return Sample("eurosat", (3, 64, 64), classes, CUT_BOTH, ALL, files=root, options={"data_dir": root})


def imagenette(root: Path, patch: pytest.MonkeyPatch) -> Sample:
    ids = ("n01440764", "n02102040", "n02979186")
    for split, images in (("train", pixels(TRAIN, 16, 20, 3)), ("val", pixels(TEST, 16, 20, 3, seed=1))):
        write_folder(root / "imagenette2-160" / split, images, ids, "jpeg")
    classes = ("tench", "English springer", "cassette player")
    options = {"data_dir": root, "image_size": 8}
    return Sample("imagenette", (3, 8, 8), classes, CUT_VAL, ALL, files=root, options=options)


def gtsrb(root: Path, patch: pytest.MonkeyPatch) -> Sample:
    base = root / "gtsrb"
    write_folder(base / "GTSRB/Training", pixels(TRAIN, 16, 20, 3), ("00000", "00001", "00002"), "ppm")
    test = base / "GTSRB/Final_Test/Images"
    test.mkdir(parents=True)
    with (base / "GT-final_test.csv").open("w", newline="") as file:
        table = csv.writer(file, delimiter=";")
        table.writerow(["Filename", "ClassId"])
        for index, image in enumerate(pixels(TEST, 18, 17, 3, seed=1)):
            Image.fromarray(image).save(test / f"{index:05}.ppm")
            table.writerow([f"{index:05}.ppm", index % CLASSES])
    options = {"data_dir": root, "image_size": 8}
    return Sample("gtsrb", (3, 8, 8), ("0", "1", "2"), CUT_VAL, NO_FLIP, files=root, options=options)


def dtd(root: Path, patch: pytest.MonkeyPatch) -> Sample:
    base, names = root / "dtd/dtd", ("banded", "dotted", "woven")
    (base / "labels").mkdir(parents=True)
    write_folder(base / "images", pixels(TRAIN + 2 * TEST, 12, 12, 3), names, "jpg")
    paths = sorted((base / "images").rglob("*.jpg"), key=lambda path: path.name)
    for split, chosen in (("train", paths[:TRAIN]), ("val", paths[TRAIN:-TEST]), ("test", paths[-TEST:])):
        lines = "\n".join(f"{path.parent.name}/{path.name}" for path in chosen)
        (base / f"labels/{split}1.txt").write_text(lines)
    options = {"data_dir": root}
    return Sample("dtd", (3, 12, 12), names, OWN, ALL, files=root, options=options, seed_matters=False)


Maker = Callable[[Path, pytest.MonkeyPatch], Sample]
OURS: tuple[Maker, ...] = (
    *(digits, folder, split_folder, npz, split_npz, table, tables, shards, deep_folder, bands),
)
TORCHVISION: tuple[Maker, ...] = (
    *(mnist, qmnist, emnist_letters, cifar10, svhn, stl10, usps, eurosat, imagenette, gtsrb, dtd),
)


def _by_class(images: Pixels) -> Pixels:
    """In the order of a folder of class folders."""
    return images[np.argsort(labels(len(images)), kind="stable")]


def _write_idx(path: Path, array: NDArray[Any]) -> None:
    """The format of MNIST: 0, 0, the kind of number, the dimensions, their sizes, the data; big-endian."""
    kind = {"uint8": 8, "int32": 12}[array.dtype.name]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(
        bytes([0, 0, kind, array.ndim]) + np.array(array.shape, ">u4").tobytes() + array.tobytes()
    )


def _write_cifar_batch(path: Path, images: Pixels, of_images: NDArray[np.uint8]) -> None:
    rows = images.transpose(0, 3, 1, 2).reshape(len(images), -1)
    path.write_bytes(pickle.dumps({"data": rows, "labels": of_images.tolist()}))
