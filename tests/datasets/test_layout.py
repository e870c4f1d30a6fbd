"""Which folders are splits, which are classes, and which are neither. A listing needs names alone."""

import random
from collections import Counter
from pathlib import Path

import pytest

from nas.datasets import open_data
from nas.datasets.junk import SYSTEM
from nas.datasets.source import SPLITS, Listing
from nas.datasets.sources.folder import Folder
from nas.errors import DataError, NasError

from .samples import pixels, write_folder


def listed(root: Path, *folders: str, files: tuple[str, ...] = (), empty: tuple[str, ...] = ()) -> Listing:
    """The listing of a folder with six images in each of `folders`, of which "a*9" holds nine."""
    root.mkdir(exist_ok=True)
    for folder in folders:
        name, _, count = folder.partition("*")
        for index in range(int(count or 6)):
            put(root / name / f"{index}.png")
    for file in files:
        put(root / file)
    for folder in empty:
        (root / folder).mkdir(parents=True)
    return Folder(root).list_images()


def put(file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("not empty")


def counts(listing: Listing) -> dict[str, dict[str, int]]:
    """Images by class and split."""
    found = Counter(zip(listing.labels.tolist(), listing.splits.tolist(), strict=True))
    return {
        name: {split: found[label, code] for code, split in enumerate(SPLITS) if found[label, code]}
        for label, name in enumerate(listing.classes)
    }


TRAIN, BOTH = {"train": 6}, {"train": 6, "test": 6}


@pytest.mark.parametrize(
    ("folders", "expected"),
    [
        (("training_set/a", "training_set/b", "test_set/a", "test_set/b"), {"a": BOTH, "b": BOTH}),
        (
            ("training_set/training_set/a", "training_set/training_set/b", "test_set/test_set/a"),
            {"a": BOTH, "b": TRAIN},
        ),
        (("seg_train/a", "seg_train/b", "seg_test/a", "seg_test/b", "seg_pred/x"), {"a": BOTH, "b": BOTH}),
        (
            ("seg_train/seg_train/a", "seg_train/seg_train/b", "seg_test/seg_test/b", "seg_pred/seg_pred*99"),
            {"a": TRAIN, "b": BOTH},
        ),
        (("seg_train/a", "seg_train/b", "seg_test/b", "test"), {"a": TRAIN, "b": BOTH}),
        (
            ("Train/a", "Train/b", "Valid/a", "Valid/b"),
            {"a": {"train": 6, "val": 6}, "b": {"train": 6, "val": 6}},
        ),
        (("train_images/a", "train_images/b", "test_images"), {"a": TRAIN, "b": TRAIN}),
        (("train2017/a", "train2017/b", "holdout/b"), {"a": TRAIN, "b": BOTH}),
        (("TrainSet/a", "TrainSet/b", "TestSet/a"), {"a": BOTH, "b": TRAIN}),
        (("train/a", "train/b", "eval/b"), {"a": TRAIN, "b": {"train": 6, "val": 6}}),
        (
            ("train/a", "train/b", "dev/a", "dev/b", "eval/b"),
            {"a": {"train": 6, "val": 6}, "b": {"train": 6, "val": 6, "test": 6}},
        ),
        (("cat/train", "cat/test", "dog/train", "dog/test"), {"cat": BOTH, "dog": BOTH}),
        (("car", "plane", "train"), {"car": TRAIN, "plane": TRAIN, "train": TRAIN}),
        (("car", "plane", "train*9", "train/diesel"), {"car": TRAIN, "plane": TRAIN, "train": {"train": 15}}),
        (("test", "control"), {"control": TRAIN, "test": TRAIN}),
        (("bullet_train", "freight_train"), {"bullet_train": TRAIN, "freight_train": TRAIN}),
        (("thumb", "index"), {"index": TRAIN, "thumb": TRAIN}),
        (("train/thumb", "train/index", "test/thumb"), {"index": TRAIN, "thumb": BOTH}),
        (("cat/images", "dog/images"), {"cat": TRAIN, "dog": TRAIN}),
        (("0", "1", "2"), {"0": TRAIN, "1": TRAIN, "2": TRAIN}),
    ],
)
def test_splits_and_classes_are_told_apart(
    folders: tuple[str, ...], expected: dict[str, dict[str, int]], tmp_path: Path
) -> None:
    assert counts(listed(tmp_path / "data", *folders)) == expected


@pytest.mark.parametrize(
    ("folders", "message"),
    [
        (
            ("car", "plane", "train/steam", "train/diesel"),
            "is train/ a class.*in car/ and plane/.*data/train alone",
        ),
        (("car*40", "train/a", "train/b", "test/a"), "is train/ a class.*in car/.*rename it"),
        (("training_set", "test_set"), "no class folders: none in test_set/ and training_set/"),
        (("train", "test", "sample"), "no class folders: none in test/ and train/"),
        (
            ("cells/p", "cells/u", "p", "u"),
            "cells/ holds p/ and u/, which lie beside cells/ too.*Move cells/ away",
        ),
        (("cat", "dog", "test/cat", "test/dog"), "test/ holds cat/ and dog/, which lie beside test/"),
        (
            ("cat", "dog", "test/test/cat", "test/test/dog"),
            "test/test/ holds cat/ and dog/.*beside test/ too",
        ),
        (
            ("learn/all/a", "learn/all/b", "check/all/a", "check/all/b"),
            "check/ and learn/ all.*data/check/all",
        ),
        (("learn/a", "learn/b", "check/a", "check/b", "new"), "check/ and learn/ all hold.*data/check[.]"),
        (("amazon/a", "amazon/b", "dslr/a", "dslr/b"), "amazon/ and dslr/ all hold a/ and b/.*data/amazon"),
        (
            ("学/a", "学/b", "测/a", "测/b"),
            "all hold a/ and b/.*call the folders above them train/",
        ),
        (("x_train/a", "x_test/a", "y_train/a", "y_test/a"), "several datasets.*Keep one"),
        (("images", "masks"), "images/ and masks/ look like images and their masks"),
        (("set/cat", "set/dog"), "one class only, 'set'.*give .*data/set"),
        (("a/b/train/cat", "a/b/train/dog", "a/b/test/cat"), "one class only, 'a'.*give .*data/a/b[.]"),
        (("train/all/a", "train/all/b", "test/all/a"), "one class only, 'all'.*move them up"),
        (("train/a", "train/b", "test/unlabelled"), "train/ has no class 'unlabelled'.*move it away"),
    ],
)
def test_what_cannot_be_told_is_refused_with_a_way_out(
    folders: tuple[str, ...], message: str, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match=message):
        listed(tmp_path / "data", *folders)


def test_many_classes_of_the_same_subfolders_are_noted(tmp_path: Path) -> None:
    listing = listed(tmp_path / "data", *(f"{person}/{side}*1" for person in range(11) for side in "lr"))
    assert len(listing.classes) == 11
    assert any("all hold l/ and r/, which are not told apart" in note for note in listing.notes)


def test_a_class_with_the_name_of_a_split_is_noted(tmp_path: Path) -> None:
    (note,) = listed(tmp_path / "data", "cat", "dog", "test").notes
    assert note == "read as a class like the others, whatever the name says: test/"


@pytest.mark.parametrize("name", sorted(SYSTEM))
@pytest.mark.parametrize("where", ["", "cat/"])
def test_what_systems_leave_does_not_exist(name: str, where: str, tmp_path: Path) -> None:
    listing = listed(tmp_path / "data", "cat", "dog", f"{where}{name.upper()}/cat")
    assert counts(listing) == {"cat": TRAIN, "dog": TRAIN}
    assert listing.notes == ()


@pytest.mark.parametrize(
    ("photo", "copy"),
    [
        ("cat/0.png", "cat/thumbs/0.jpg"),
        ("cat/0.png", "cat/Thumbnails/0.png"),
        ("cat/large/a.png", "cat/thumbnail/a.png"),
        ("cat/0.png", "thumbnails/cat/0.jpg"),
        ("train/cat/0.png", "train/thumbs/cat/0.png"),
        ("cat/0.png", "cat/thumb_0.jpg"),
        ("cat/0.png", "cat/0-thumb.jpg"),
        ("cat/0.png", "cat/0-150x150.png"),
        ("cat/0.png", "cat/0 (Ann's conflicted copy 2026-01-01).png"),
    ],
)
def test_copies_of_photos_are_left_out_and_told(photo: str, copy: str, tmp_path: Path) -> None:
    top = "train/" if photo.startswith("train") else ""
    listing = listed(tmp_path / "data", f"{top}cat", f"{top}dog", files=(photo, copy))
    assert photo in listing.names
    assert copy not in listing.names
    assert listing.classes == ("cat", "dog")
    assert listing.notes == (f"1 file that is a copy of another left out, such as {copy}",)


def test_photos_that_may_be_copies_are_read_and_told(tmp_path: Path) -> None:
    listing = listed(tmp_path / "data", "cat", "dog", files=("cat/small/0.png", "cat/thumbs/only-here.png"))
    assert {"cat/small/0.png", "cat/thumbs/only-here.png"} <= set(listing.names)
    (note,) = listing.notes
    assert note.startswith("1 image has the name of another in a folder above, such as cat/small/0.png")


def test_folders_without_images_are_no_classes(tmp_path: Path) -> None:
    listing = listed(tmp_path / "data", "cat", "dog", files=("labels/a.xml",), empty=("yak", "emu/large"))
    assert listing.classes == ("cat", "dog")
    assert listing.notes == ("3 folders without images left out, such as emu",)
    listing = listed(tmp_path / "split", "train/cat", "train/dog", "test/cat", empty=("test/dog", "val/cat"))
    assert counts(listing) == {"cat": BOTH, "dog": TRAIN}


def test_a_folder_of_what_may_be_images_is_not_left_out(tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match=r"class folder yak/ holds no images that can be read, such as yak/0.xyz"
    ):
        listed(tmp_path / "data", "cat", "dog", files=("yak/0.xyz",))


def test_an_empty_folder_is_the_same_with_a_warm_cache(tmp_path: Path) -> None:
    root = tmp_path / "pets"
    write_folder(root / "train", pixels(24, 4, 4))
    before = open_data(str(root))
    (root / "train/yak").mkdir()
    after = open_data(str(root))
    assert (after.classes, after.fingerprint) == (before.classes, before.fingerprint)
    assert "1 folder without images left out, such as train/yak" in after.notes
    put(root / "train/yak/photo")
    with pytest.raises(DataError, match="train/yak/"):
        open_data(str(root))


def test_results_among_the_images_are_no_class_and_change_nothing(tmp_path: Path) -> None:
    root = tmp_path / "pets"
    write_folder(root, pixels(24, 4, 4))
    put(root / "studies/nas.db")
    put(root / "studies/mlp-pets/sheet.png")
    put(root / "nas.db")
    put(root / "resnet-pets/weights/7.safetensors")
    (root / "another-pets").mkdir()
    (root / "another-pets/lock").touch()
    first = open_data(str(root))
    assert first.classes == ("cat", "dog", "emu")
    (root / "studies/nas.db").write_text("longer")
    (root / "nas.db").write_text("longer")
    put(root / "nas.db-wal")
    put(root / "studies/another/figure.png")
    assert open_data(str(root)).folder == first.folder


NAMES = [
    *sorted({*SYSTEM, ".git", "._0", "studies", "nas.db", "thumbs", "cat/thumbnails"}),
    *("train", "Train", "training_set", "seg_train", "train_images", "test", "test_set", "seg_test", "val"),
    *("dev", "eval", "seg_pred", "images", "masks", "cat", "dog", "emu", "0", "1", "猫", "a b", "[x]", "{}"),
]
FILES = [
    "0.png",
    "1.png",
    "2.PNG",
    "3.gif",
    "0-10x10.png",
    "notes.txt",
    "noend",
    "x.heic",
    "Thumbs.db",
    "nas.db",
    "",
]


def opened_or_refused(root: Path, seed: int) -> None:
    """A tree of odd folders ends in a dataset, or in one line."""
    draw = random.Random(seed)
    image = write_one(root.parent / "image.png")
    root.mkdir()
    for _ in range(draw.randint(0, 8)):
        folder = root.joinpath(*draw.choices(NAMES, k=draw.randint(1, 4)))
        try:
            folder.mkdir(parents=True, exist_ok=True)
            for name in draw.choices(FILES, k=draw.randint(0, 6)):
                if name:
                    (folder / name).write_bytes(image if draw.random() < 0.95 else b"broken")
        except OSError:  # a file lies where a folder should, or the reverse
            continue
    refusal = ""
    try:
        data = open_data(str(root), image_size=draw.choice([None, 4]), skip_broken=draw.random() < 0.5)
    except NasError as error:
        refusal = str(error)
    if refusal:
        assert "\n" not in refusal
        assert len(refusal) < 1500
    else:
        assert len(data.classes) > 1
        assert min(data.class_counts["train"]) >= 1
        assert not {name.lower() for name in data.classes} & SYSTEM
        assert not set(data.classes) >= {"training_set", "test_set"}


def write_one(file: Path) -> bytes:
    from PIL import Image

    Image.new("L", (4, 4)).save(file)
    return file.read_bytes()


@pytest.mark.parametrize("seeds", [range(30), pytest.param(range(30, 1030), marks=pytest.mark.slow)])
def test_any_tree_of_folders_ends_in_a_dataset_or_in_one_line(seeds: range, tmp_path: Path) -> None:
    for seed in seeds:
        (tmp_path / str(seed)).mkdir()
        opened_or_refused(tmp_path / str(seed) / "data", seed)
