"""The same images in any format are the same dataset: the same pixels, in the same splits."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from nas.datasets import open_data
from nas.errors import DataError

from .samples import write_parquet

pa = pytest.importorskip("pyarrow")
from pyarrow import parquet  # noqa: E402

CLASSES = ("airplane", "automobile", "bird", "cat")
COUNT = 10
"""Of each class; as in CIFAR-10, the names begin anew in each."""


@pytest.fixture(scope="module")
def cifar(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """JPEG files as CIFAR-10 has them: 32x32, smooth, one folder a class."""
    root = tmp_path_factory.mktemp("cifar") / "images"
    rng = np.random.default_rng(0)
    for name in CLASSES:
        (root / name).mkdir(parents=True)
        for number in range(COUNT):
            small = Image.fromarray(rng.integers(0, 256, (4, 4, 3), dtype=np.uint8))
            small.resize((32, 32), Image.Resampling.BICUBIC).save(root / name / f"{number:04}.jpg")
    return root


def shuffled(root: Path) -> list[str]:
    names = sorted(path.relative_to(root).as_posix() for path in root.rglob("*.jpg"))
    np.random.default_rng(1).shuffle(names)
    return names


def csv_table(root: Path, folder: Path) -> dict[str, Any]:
    rows = [f"{name},{name.split('/')[0]}" for name in shuffled(root)]
    (folder / "a.csv").write_text("\n".join(["path,label", *rows]))
    return {"source": str(folder / "a.csv"), "root": root}


def kaggle(root: Path, folder: Path) -> dict[str, Any]:
    rows = [f"{name.removesuffix('.jpg')};{CLASSES.index(name.split('/')[0])}.0;x" for name in shuffled(root)]
    (root.parent / "train.csv").write_text("\n".join(["\ufeffid;target;more", *rows]), encoding="utf-8")
    return {"source": str(root.parent / "train.csv"), "root": root}


def metadata(root: Path, folder: Path) -> dict[str, Any]:
    rows = [json.dumps({"file_name": name, "label": name.split("/")[0]}) for name in shuffled(root)]
    (root / "metadata.jsonl").write_text("\n".join(rows))
    return {"source": str(root / "metadata.jsonl")}


def parquet_of(
    names: list[str], root: Path, paths: list[str | None], file: Path, **columns: Any
) -> dict[str, Any]:
    contents = [
        {"bytes": (root / name).read_bytes(), "path": path} for name, path in zip(names, paths, strict=True)
    ]
    features = {"image": {"_type": "Image"}, "label": {"_type": "ClassLabel", "names": list(CLASSES)}}
    labels = [CLASSES.index(name.split("/")[0]) for name in names]
    table = pa.table({"label": labels, "image": contents, **columns})
    told = {"huggingface": json.dumps({"info": {"features": features}})}
    parquet.write_table(table.replace_schema_metadata(told), file, row_group_size=7)
    return {"source": str(file)}


def in_order(root: Path, folder: Path) -> dict[str, Any]:
    names = sorted(shuffled(root))
    return parquet_of(names, root, list(names), folder / "a.parquet")


def scattered(root: Path, folder: Path) -> dict[str, Any]:
    """As Hugging Face writes it: of the paths, the file names alone."""
    names = shuffled(root)
    return parquet_of(names, root, [name.split("/")[1] for name in names], folder / "a.parquet")


def paths_alone(root: Path, folder: Path) -> dict[str, Any]:
    table = pa.table({"file_name": shuffled(root), "label": [name.split("/")[0] for name in shuffled(root)]})
    parquet.write_table(table, root / "metadata.parquet")
    return {"source": str(root / "metadata.parquet")}


def bare_structs(root: Path, folder: Path) -> dict[str, Any]:
    kind = pa.struct({"bytes": pa.binary(), "path": pa.string()})
    images = pa.array([{"bytes": None, "path": str(root / name)} for name in shuffled(root)], kind)
    table = pa.table({"image": images, "label": [name.split("/")[0] for name in shuffled(root)]})
    parquet.write_table(table, root / "bare.parquet")
    return {"source": str(root / "bare.parquet")}


@pytest.mark.parametrize(
    "make",
    [csv_table, kaggle, metadata, in_order, scattered, paths_alone, bare_structs],
    ids=lambda each: each.__name__,
)
def test_any_format_gives_the_pixels_and_splits_of_a_folder(make: Any, cifar: Path, tmp_path: Path) -> None:
    folder = open_data(str(cifar))
    made = make(cifar, tmp_path)
    data = open_data(**made)
    assert data.fingerprint == folder.fingerprint
    assert data.split_digest == folder.split_digest
    assert data.counts == folder.counts == {"train": 24, "val": 8, "test": 8}
    assert make is kaggle or data.classes == folder.classes == CLASSES


def test_shards_with_splits_are_a_folder_with_splits(cifar: Path, tmp_path: Path) -> None:
    names = shuffled(cifar)
    (tmp_path / "shards/data").mkdir(parents=True)
    for split, part in (("train", names[:30]), ("test", names[30:])):
        for name in part:
            target = tmp_path / "folder" / split / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes((cifar / name).read_bytes())
        file = tmp_path / f"shards/data/{split}-00000-of-00001.parquet"
        parquet_of(part, cifar, [name.split("/")[1] for name in part], file)
    folder, shards = open_data(str(tmp_path / "folder")), open_data(str(tmp_path / "shards"))
    assert (shards.fingerprint, shards.split_digest) == (folder.fingerprint, folder.split_digest)
    (tmp_path / "shards/data/test-00000-of-00001.parquet").rename(
        tmp_path / "shards/data/test-00000-of-00002.parquet"
    )
    with pytest.raises(DataError, match=r"holds 1 of 2 files data/test-….parquet"):
        open_data(str(tmp_path / "shards"))


def test_tables_of_one_dataset_may_name_other_classes(cifar: Path, tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    for split, classes in (("train", ("ant", "bee")), ("test", ("bee", "ant"))):
        names = shuffled(cifar)[:20] if split == "train" else shuffled(cifar)[20:]
        pixels = np.stack([np.asarray(Image.open(cifar / name)) for name in names])
        write_parquet(tmp_path / "a" / f"{split}.parquet", pixels, np.arange(20, dtype=np.uint8) % 2, classes)
    data = open_data(str(tmp_path / "a"))
    assert data.classes == ("ant", "bee")
    assert data.open_test().labels.tolist() == [1, 0] * 10
    write_parquet(tmp_path / "a/test.parquet", pixels, np.arange(20, dtype=np.uint8) % 2, ("cow", "dog"))
    with pytest.raises(DataError, match=r"2 classes, 'cow'.*have no train images|too few images"):
        open_data(str(tmp_path / "a"), root=tmp_path / "elsewhere")


def test_a_class_needs_a_name_that_can_be_printed(cifar: Path, tmp_path: Path) -> None:
    table = pa.table({"image": shuffled(cifar), "label": ["a\nb", "c"] * 20})
    parquet.write_table(table, cifar / "odd.parquet")
    with pytest.raises(DataError, match=r"a class cannot be called 'a\\nb'"):
        open_data(str(cifar / "odd.parquet"))


def test_groups_and_labels_without_names_come_from_parquet_too(cifar: Path, tmp_path: Path) -> None:
    names = shuffled(cifar)
    groups = [name.split("/")[0] + name[-6] for name in names]
    made = parquet_of(names, cifar, [None] * len(names), tmp_path / "a.parquet", patient_id=groups)
    data = open_data(**made, columns={"group": "none"})
    assert not any("groups" in note for note in data.notes)
    with pytest.raises(DataError, match="lies in 1 groups only"):
        open_data(**made)
