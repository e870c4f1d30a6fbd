"""The rules by which a folder is read have a number: what an older study got, it gets again."""

from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image
from sqlalchemy import update

from nas import api
from nas.datasets import open_data
from nas.datasets.rules import FIRST, NEWEST
from nas.errors import InvalidSetting
from nas.study import tables
from nas.study.reader import StudyReader

from .samples import pixels, write_folder


def thumbnails_in_a_class(root: Path) -> None:
    write_folder(root, pixels(24, 6, 5, 3))
    (root / "cat/@eaDir").mkdir()
    Image.new("RGB", (5, 6), "red").save(root / "cat/@eaDir/0.png")
    (root / "cat/notes.txt").touch()


def kaggle_splits(root: Path) -> None:
    for seed, name in enumerate(("training_set", "test_set")):
        write_folder(root / name, pixels(24, 4, 4, seed=seed))


def a_class_called_train(root: Path) -> None:
    write_folder(root, pixels(24, 4, 4), ("car", "plane"))
    write_folder(root / "train", pixels(24, 4, 4, seed=1), ("steam", "diesel"))


@pytest.mark.parametrize(
    ("layout", "counts", "fingerprint", "split_digest"),
    [
        (
            thumbnails_in_a_class,
            {"train": 19, "val": 3, "test": 3},
            "f3c8b6b2ed0f91769289376bc70bc3fdd63662e21209f953bf9728b62053f800",
            "932eafd2b226027621c8f9d5b727ceaf4d9abf0e5d8d501ef15af8c6e9870828",
        ),
        (
            kaggle_splits,
            {"train": 32, "val": 8, "test": 8},
            "0c4f21dd2527459083bb975b7a072afa9d01679549529d3a42b9279d6b09741a",
            "973c34850d6c073ad36e6e717bff88464bdcde5c2e8b5d2553e60b29a863db5f",
        ),
        (
            a_class_called_train,
            {"train": 16, "val": 4, "test": 4},
            "570a7daf433331c9db0e7a899d699c4ed3694a9194e57bdfed1013f54acd6aad",
            "0761f27620262ad916a08867dd88ebd3132cefc2d5f459c48267e476dd7dccbd",
        ),
    ],
)
def test_the_first_rules_give_what_they_always_gave(
    layout: Callable[[Path], None],
    counts: dict[str, int],
    fingerprint: str,
    split_digest: str,
    tmp_path: Path,
) -> None:
    layout(tmp_path / "pets")
    data = open_data(str(tmp_path / "pets"), rules=FIRST)
    assert (data.counts, data.fingerprint, data.split_digest) == (counts, fingerprint, split_digest)


def test_rules_of_a_newer_nas_are_refused(tmp_path: Path) -> None:
    write_folder(tmp_path / "pets", pixels(24, 4, 4))
    with pytest.raises(InvalidSetting, match=f"rules {NEWEST + 1}.*a newer one"):
        open_data(str(tmp_path / "pets"), rules=NEWEST + 1)


def test_a_study_goes_on_under_the_rules_that_it_began_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nas.api.study.run_search", lambda run, watch: None)
    thumbnails_in_a_class(tmp_path / "pets")

    def search(trials: int) -> StudyReader:
        return api.search(
            space="mlp",
            data=str(tmp_path / "pets"),
            folder=tmp_path / "studies",
            device="cpu",
            threads=1,
            workers=1,
            trials=trials,
        ).store

    store = search(1)
    assert store.data["rules"] == NEWEST
    old = open_data(str(tmp_path / "pets"), rules=FIRST)
    facts = store.data | {"fingerprint": old.fingerprint, "split_digest": old.split_digest}
    del facts["rules"]  # as studies were stored before there was a number
    with store.engine.begin() as connection:
        connection.execute(update(tables.studies).values(data=facts))
    store = search(2)
    assert store.recipe.trials == 2
    assert store.data == facts
