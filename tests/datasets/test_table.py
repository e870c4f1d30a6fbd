"""Tables: which column is what, where the images lie, and what is refused."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from nas.datasets import ImageData, open_data
from nas.datasets.finding import find_source, owners_of
from nas.datasets.source import Listing
from nas.datasets.sources import parquet
from nas.datasets.tables.parts import one_configuration, parts_of, shards_in, tables_in
from nas.datasets.tables.rows import Part
from nas.datasets.tables.tabled import Tabled
from nas.errors import DataError, InvalidSetting

from .samples import labels, pixels, write_folder, write_parquet

NAMES = [f"{animal}/{index:03}.png" for index in range(18) for animal in (("cat", "dog", "emu")[index % 3],)]
"""What `write_folder` writes of 18 images."""


@pytest.fixture(autouse=True)
def pets(tmp_path: Path) -> Path:
    write_folder(tmp_path / "pets", pixels(18, 4, 4, 3))
    return tmp_path / "pets"


def label_of(name: str) -> str:
    return name.split("/")[0]


def lines(*header: str, delimiter: str = ",", **columns: Any) -> str:
    """A table with a function of an image's path for each column."""
    rows = [header or tuple(columns), *([make(name) for make in columns.values()] for name in NAMES)]
    return "\n".join(delimiter.join(row) for row in rows) + "\n"


def listed(path: Path, columns: dict[str, str] | None = None, root: Path | None = None) -> Listing:
    return find_source(str(path), None, 2, columns, root).list_images()


def truth(listing: Listing) -> dict[str, str]:
    return {name: listing.classes[label] for name, label in zip(listing.names, listing.labels, strict=True)}


TRUTH = {name: label_of(name) for name in NAMES}


@pytest.mark.parametrize(
    ("text", "columns"),
    [
        pytest.param(lines(image=str, label=label_of), {}, id="by name"),
        pytest.param(lines(breed=label_of, id=str), {}, id="in any order"),
        pytest.param(lines(a=label_of, b=str), {}, id="by content"),
        pytest.param(lines(a=label_of, b=lambda name: "x", c=str), {"label": "a"}, id="as said"),
        pytest.param(
            lines(a=label_of, b=lambda name: "x", c=str), {"label": "1", "image": "3"}, id="by number"
        ),
        pytest.param(lines(id=lambda name: name[:-4], label=label_of), {}, id="without suffix"),
        pytest.param(lines(id=lambda name: name[:-3] + "PNG", label=label_of), {}, id="other letters"),
        pytest.param(lines(id=lambda name: name[4:-4], label=label_of), {}, id="without folder"),
        pytest.param(
            lines(p=lambda name: f"/kaggle/input/pets/{name}", label=label_of), {}, id="another machine"
        ),
        pytest.param(lines(p=lambda name: f"C:\\me\\{name}", label=label_of), {}, id="another system"),
        pytest.param(lines(p=lambda name: f"./{name}", label=label_of), {}, id="with a dot"),
        pytest.param(lines(id=str, label=label_of, delimiter=";"), {}, id="semicolons"),
        pytest.param(lines(id=str, label=label_of, delimiter="\t"), {}, id="tabs"),
        pytest.param("\ufeff" + lines(id=str, label=label_of), {}, id="byte order mark"),
        pytest.param(lines(id=str, label=label_of).replace("\n", "\r\n"), {}, id="of Windows"),
        pytest.param(
            lines(
                '"file, name"',
                '"the ""label"""',
                a=lambda name: f'"{name}"',
                b=lambda name: f'"{label_of(name)}"',
            ),
            {},
            id="quoted",
        ),
        pytest.param(lines(id=str, label=label_of).partition("\n")[2], {}, id="no header"),
        pytest.param(
            lines(
                id=str,
                **{
                    each: lambda name, each=each: str(+(label_of(name) == each))
                    for each in ("cat", "dog", "emu")
                },
            ),
            {},
            id="one column a class",
        ),
        pytest.param(
            lines(
                id=str,
                n=lambda name: "5",
                **{
                    each: lambda name, each=each: f"{label_of(name) == each}"
                    for each in ("cat", "dog", "emu")
                },
            ),
            {"label": "cat+dog+emu"},
            id="one column a class as said",
        ),
        pytest.param(lines(id=str, label=label_of) + "\n\n", {}, id="empty lines"),
        pytest.param(
            lines("", "id", "label", n=lambda name: "7", id=str, label=label_of), {}, id="row numbers"
        ),
    ],
)
def test_columns_and_paths_are_understood(text: str, columns: dict[str, str], pets: Path) -> None:
    (pets / "table.csv").write_text(text, encoding="utf-8", newline="")
    assert truth(listed(pets / "table.csv", columns)) == TRUTH


def test_a_table_may_be_of_two_bytes_a_letter_or_of_json(pets: Path) -> None:
    (pets / "a.tsv").write_text(lines(id=str, label=label_of, delimiter="\t"), encoding="utf-16")
    rows = [{"more": {"box": [1, 2]}, "file_name": name, "label": label_of(name)} for name in NAMES]
    (pets / "b.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    assert truth(listed(pets / "a.tsv")) == truth(listed(pets / "b.jsonl")) == TRUTH


def test_images_may_lie_elsewhere(pets: Path, tmp_path: Path) -> None:
    (tmp_path / "lists").mkdir()
    (tmp_path / "lists/all.csv").write_text(lines(id=str, label=label_of))
    assert truth(listed(tmp_path / "lists/all.csv", root=pets)) == TRUTH
    with pytest.raises(
        DataError, match=r"of 18 images in column 'id', such as .*, none is in .*lists or below.*--root"
    ):
        listed(tmp_path / "lists/all.csv")


@pytest.mark.parametrize(
    ("labels", "classes"),
    [
        (["2", "10", "1"], ("1", "2", "10")),
        (["2.0", "0.0", "1.0"], ("0", "1", "2")),
        (["b", "10", "a"], ("10", "a", "b")),
        (["-1", "0", "1"], ("-1", "0", "1")),
    ],
)
def test_numbers_are_sorted_as_such(labels: list[str], classes: tuple[str, ...], pets: Path) -> None:
    text = lines(id=str, label=lambda name: labels[("cat", "dog", "emu").index(label_of(name))])
    (pets / "table.csv").write_text(text)
    assert listed(pets / "table.csv").classes == classes


def test_a_column_may_tell_the_split(pets: Path) -> None:
    split_of = {
        name: ("train", "Validation", "test", "train", "train", "train")[i // 3]
        for i, name in enumerate(NAMES)
    }
    (pets / "table.csv").write_text(lines(id=str, label=label_of, split=split_of.get))
    listing = listed(pets / "table.csv")
    assert dict(zip(listing.names, listing.splits, strict=True)) == {
        name: {"train": 0, "Validation": 1, "test": 2}[split] for name, split in split_of.items()
    }
    assert set(listed(pets / "table.csv", {"split": "none"}).splits) == {0}
    (pets / "table.csv").write_text(lines(id=str, label=label_of, dataset=lambda name: "PETS-2018"))
    assert set(listed(pets / "table.csv").splits) == {0}


@pytest.mark.parametrize(
    ("words", "tests"),
    [
        (("train", "val", "eval"), {"eval"}),
        (("train", "train", "Evaluation"), set()),
        (("test", "dev", "eval"), {"test"}),
    ],
)
def test_evaluation_is_the_test_where_another_validates(
    words: tuple[str, ...], tests: set[str], pets: Path
) -> None:
    split_of = {name: words[index // 3 % 3] for index, name in enumerate(NAMES)}
    (pets / "table.csv").write_text(lines(id=str, label=label_of, split=split_of.get))
    listing = listed(pets / "table.csv")
    tested = [split_of[name] for name, split in zip(listing.names, listing.splits, strict=True) if split == 2]
    assert {*tested} == tests


def test_evaluation_is_the_test_among_tables_and_shards_too(tmp_path: Path) -> None:
    names = ("train", "val", "eval")
    for name in names:
        (tmp_path / f"lists/{name}.csv").parent.mkdir(exist_ok=True)
        (tmp_path / f"lists/{name}.csv").touch()
        (tmp_path / f"images/{name}").mkdir(parents=True)
        (tmp_path / f"images/{name}/metadata.csv").touch()
    lists, images = (tables_in(tmp_path / each, (".csv",)) for each in ("lists", "images"))
    shards = parts_of(tmp_path, [f"data/{name}-00000-of-00001.parquet" for name in names])
    for parts in (lists, images, shards):
        evaluated = [part.split for part in parts if "eval" in part.file.relative_to(tmp_path).as_posix()]
        assert evaluated == [2]
        assert sorted(part.split or 0 for part in parts) == [0, 1, 2]


def test_a_column_that_is_called_a_split_and_is_none_is_told(pets: Path) -> None:
    folds = {name: str(index % 5) for index, name in enumerate(NAMES)}
    (pets / "table.csv").write_text(lines(id=str, label=label_of, split=folds.get))
    told = "column 'split' is no split (values '0', '1', '2') and was not used"
    assert told in listed(pets / "table.csv").notes
    assert told not in listed(pets / "table.csv", {"split": "none"}).notes


def test_a_group_is_the_same_as_a_number_with_a_point(pets: Path) -> None:
    patient = {name: ("12", "12.0")[index % 2] for index, name in enumerate(NAMES)}
    (pets / "table.csv").write_text(lines(id=str, label=label_of, patient=patient.get))
    groups = listed(pets / "table.csv").groups
    assert groups is not None
    assert len(set(groups.tolist())) == 1


@pytest.mark.parametrize("role", ["label", "split", "group"])
def test_a_column_of_images_is_nothing_else(role: str, tmp_path: Path) -> None:
    write_parquet(tmp_path / "a.parquet", pixels(6, 4, 4), labels(6), ("a", "b", "c"))
    with pytest.raises(
        DataError, match=rf"column 'image' holds images, and no {role}. Its columns: 'image',"
    ):
        listed(tmp_path / "a.parquet", {role: "image"})


@pytest.mark.parametrize(
    ("numbers", "message"),
    [
        ((0, 1, 2), None),
        ((0, 1), r"holds 2 of 3 files train-….parquet. Download the others, too."),
        ((1, 2, 3), r"holds 2 of 3 files train-….parquet. Download the others, too."),
        (
            (0, 0, 1),
            r"holds one file twice: train-00000-of-00003-0.parquet and train-00000-of-00003-1.parquet.",
        ),
    ],
)
def test_every_shard_is_there_once(numbers: tuple[int, ...], message: str | None) -> None:
    names = [f"train-{number:05}-of-00003-{place}.parquet" for place, number in enumerate(numbers)]
    if message is None:
        assert one_configuration("pets", names, str) == names
    else:
        with pytest.raises(DataError, match=message):
            one_configuration("pets", names, str)


@pytest.mark.parametrize(
    "text",
    [
        "\n" + lines(id=str, label=label_of),
        " , \n\n" + lines(id=str, label=label_of),
        lines(id=str, label=label_of) + ",\n , \n",
        ",,,\n" + lines(id=str, label=label_of, a=lambda name: "5", b=lambda name: "6") + ",,,\n,,\n",
    ],
)
def test_lines_without_text_are_none_wherever_they_are(text: str, pets: Path) -> None:
    (pets / "table.csv").write_text(text)
    listing = listed(pets / "table.csv", {"label": "label"})
    assert truth(listing) == TRUTH
    assert not listing.lacks


def test_a_file_that_a_browser_has_downloaded_again_is_told() -> None:
    names = ["train-00000-of-00001.parquet", "train-00000-of-00001 (1).parquet"]
    with pytest.raises(DataError, match=r"holds one file twice: .*00001.parquet and .*00001 \(1\).parquet"):
        one_configuration("pets", names, str)


def test_columns_by_number_tell_what_the_first_line_was_taken_for(pets: Path) -> None:
    text = lines(id=lambda name: name[4:-4], label=label_of)
    (pets / "table.csv").write_text(text.partition("\n")[2])
    told = "the first line of table.csv is taken for names of columns: '000', 'cat'"
    assert told in listed(pets / "table.csv", {"image": "1", "label": "2"}).notes
    (pets / "table.csv").write_text(text)
    assert not any("first line" in note for note in listed(pets / "table.csv", {"label": "label"}).notes)


def test_a_number_that_is_none_is_no_label_and_no_group(pets: Path) -> None:
    rows = [{"id": name, "label": label_of(name), "group": 1.0} for name in NAMES]
    rows[0]["label"], rows[1]["group"], rows[2]["group"] = float("nan"), float("nan"), float("nan")
    (pets / "table.jsonl").write_text("\n".join(map(json.dumps, rows)))
    listing = listed(pets / "table.jsonl")
    assert listing.classes == ("cat", "dog", "emu")
    assert listing.lacks == ("1 of 18 images have no label, such as 'cat/000.png'",)
    assert listing.groups is not None
    assert len(set(listing.groups.tolist())) == 3


@pytest.mark.parametrize("way", ["absolute", "upwards", "upwards in the middle"])
def test_a_downloaded_table_names_no_files_of_this_machine(way: str, pets: Path, tmp_path: Path) -> None:
    start = {"absolute": f"{pets}/", "upwards": "../pets/", "upwards in the middle": "a/../../pets/"}[way]
    table = tmp_path / "downloads/table.csv"
    table.parent.mkdir()
    table.write_text(lines(id=lambda name: start + name, label=label_of))

    def source(trusted: bool, root: Path | None = None) -> Tabled:
        return Tabled("a", table, [Part(table)], columns={}, root=root, rules=2, trusted=trusted)

    assert len(source(trusted=True).list_images().names) == 18
    with pytest.raises(DataError, match=r"of 18 images .* none is in"):
        source(trusted=False).list_images()
    assert len(source(trusted=False, root=table.parent).list_images().names) == 18


def test_missing_images_are_counted_and_refused_or_left_out(pets: Path) -> None:
    (pets / "table.csv").write_text(lines(id=str, label=label_of) + "cat/100.png,cat\ncat/101.png,dog\n")
    with pytest.raises(
        DataError, match=r"2 of 20 images are not there, such as 'cat/100.png'\..*--skip-broken"
    ):
        open_data(str(pets / "table.csv"))
    data = open_data(str(pets / "table.csv"), skip_broken=True)
    assert sum(data.counts.values()) == 18
    assert "2 of 20 images are not there, such as 'cat/100.png': left out" in data.notes


def test_rows_without_a_label_are_counted_and_refused_or_left_out(pets: Path) -> None:
    (pets / "table.csv").write_text(lines(id=str, label=lambda name: "" if "00" in name else label_of(name)))
    with pytest.raises(DataError, match=r"10 of 18 images have no label, such as 'cat/000.png'"):
        open_data(str(pets / "table.csv"))


def test_a_row_again_is_left_out_and_one_that_contradicts_is_refused(pets: Path) -> None:
    (pets / "table.csv").write_text(lines(id=str, label=label_of) + "cat/000.png,cat\n")
    listing = listed(pets / "table.csv")
    assert truth(listing) == TRUTH
    assert "1 row left out, of an image that is there already" in listing.notes
    (pets / "table.csv").write_text(lines(id=str, label=label_of) + "cat/000.png,dog\n")
    with pytest.raises(DataError, match=r"cat/000.png is there twice, with the labels 'cat' and 'dog'"):
        listed(pets / "table.csv")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is no table"),
        ("image\ncat/000.png\n", "is no table: there are no two columns"),
        ("image,label\n", "no images found"),
        ("image,label\ncat/000.png,cat,x\n", "line 2: there are 3 cells, and 2 columns"),
        ('image,label\n"cat/000.png,cat\n', "line 2: unexpected end of data"),
        ("image,image,label\na.png,b.png,cat\n", "two columns are called 'image'"),
        (
            "a,b,c\nx,y,z\n",
            "cannot be told which column names the images. Its columns: 'a', 'b', 'c'.*image=NAME",
        ),
        ("image,b,c\nx.png,y,z\n", "cannot be told which column is the label.*label=NAME"),
        ("image,label,split\ncat/000.png,cat,train\ndog/001.png,dog,fold3\n", "'fold3' is no split"),
    ],
)
def test_what_is_no_dataset_is_told_in_a_line(text: str, message: str, pets: Path) -> None:
    (pets / "table.csv").write_text(text)
    with pytest.raises(DataError, match=message) as error:
        open_data(str(pets / "table.csv"))
    assert str(error.value).startswith(str(pets / "table.csv"))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('["cat.png", "cat"]', "line 1: it is no JSON object"),
        ('{"image": "cat.png"', "line 1: it is no JSON"),
        ("[" * 100_000, "line 1: it is no JSON"),
        ('{"image": "\\ud800.png", "label": "a"}', "half of a letter"),
    ],
)
def test_a_broken_line_of_json_is_told(line: str, message: str, pets: Path) -> None:
    (pets / "table.jsonl").write_text(line)
    with pytest.raises(DataError, match=message):
        open_data(str(pets / "table.jsonl"))


def test_a_column_that_is_not_there_is_told_with_those_that_are(pets: Path) -> None:
    (pets / "table.csv").write_text(lines(id=str, label=label_of))
    with pytest.raises(DataError, match=r"has no column 'breed' for label. Its columns: 'id', 'label'"):
        listed(pets / "table.csv", {"label": "breed"})


def test_several_images_that_fit_are_not_chosen_from(pets: Path) -> None:
    write_folder(pets / "other", pixels(18, 4, 4, 3))
    (pets / "table.csv").write_text(lines(id=lambda name: name[4:-4], label=label_of))
    with pytest.raises(DataError, match=r"'000' may be cat/000.png or other/cat/000.png. .*--root"):
        listed(pets / "table.csv")
    (pets / "other").rename(pets / "thumbs")
    assert truth(listed(pets / "table.csv")) == TRUTH


def test_of_names_alike_the_very_one_is_meant(pets: Path) -> None:
    for name in NAMES:
        (pets / f"{name}.png").write_bytes((pets / name).read_bytes())
    (pets / "table.csv").write_text(lines(id=lambda name: name[4:], label=label_of))
    assert truth(listed(pets / "table.csv")) == TRUTH


@pytest.mark.parametrize("junk", ["$RECYCLE.BIN", "@Recycle", "lost+found"])
def test_what_a_disk_has_thrown_away_is_no_table(junk: str, tmp_path: Path) -> None:
    (tmp_path / "disk" / junk).mkdir(parents=True)
    (tmp_path / "disk" / junk / "train.parquet").touch()
    assert not parquet.takes(str(tmp_path / "disk"))
    (tmp_path / "disk/train.parquet").touch()
    assert [part.file.parent.name for part in shards_in(tmp_path / "disk")] == ["disk"]


def test_a_folder_that_cannot_be_read_holds_no_table(pets: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (pets / "private/deeper").mkdir(parents=True)
    scan = os.scandir

    def refusing(path: Any) -> Any:
        if Path(path).name == "private":
            raise PermissionError(13, "Permission denied", str(path))
        return scan(path)

    monkeypatch.setattr(os, "scandir", refusing)
    assert not owners_of(str(pets))
    assert not owners_of(str(pets / "private"))
    with pytest.raises(DataError, match=r"Cannot read .*private: Permission denied"):
        open_data(str(pets))


def test_folders_that_hold_tables(pets: Path, tmp_path: Path) -> None:
    (pets / "labels.csv").write_text(lines(id=str, label=lambda name: "one" if "0" in name[5:] else "two"))
    assert set(open_data(str(pets)).classes) == {"cat", "dog", "emu"}, "class folders were read before tables"
    (tmp_path / "kaggle").mkdir()
    pets.rename(tmp_path / "kaggle/images")
    (tmp_path / "kaggle/images/labels.csv").unlink()
    kaggle = tmp_path / "kaggle"
    for file in ("train.csv", "sample_submission.csv"):
        (kaggle / file).write_text(lines(id=lambda name: name[4:-4], label=label_of))
    listing = listed(kaggle)
    assert truth(listing) == {f"images/{name}": label for name, label in TRUTH.items()}
    (kaggle / "test.csv").write_text("id,more\n017,x\n")
    (kaggle / "train.csv").write_text(
        lines(id=lambda name: name[4:-4], label=label_of).replace("017,emu\n", "")
    )
    listing = listed(kaggle)
    assert len(listing.names) == 17
    assert "test.csv has no labels, and was left out" in listing.notes
    (kaggle / "train_labels.csv").touch()
    with pytest.raises(DataError, match=r"two tables of one split, train.csv and train_labels.csv"):
        listed(kaggle)


def test_a_table_beside_class_folders_is_told_of(pets: Path) -> None:
    (pets / "metadata.csv").write_text(lines(id=str, label=lambda name: "one" if "0" in name[5:] else "two"))
    told = "metadata.csv is not read, since folders tell the classes: if it tells them, give"
    assert f"{told} {pets}/metadata.csv" in listed(pets).notes
    assert listed(pets / "metadata.csv").classes == ("one", "two")


def test_columns_and_a_root_are_for_tables_alone(pets: Path) -> None:
    with pytest.raises(InvalidSetting, match="--columns is for tables"):
        open_data(str(pets), columns={"label": "breed"})
    with pytest.raises(InvalidSetting, match="--root is for tables, and digits is none"):
        open_data("digits", root=pets)


def test_other_columns_are_other_images(pets: Path) -> None:
    (pets / "table.csv").write_text(lines(id=str, label=label_of, odd=lambda name: str(int(name[4:7]) % 2)))
    first, second = (open_data(str(pets / "table.csv"), columns={"label": name}) for name in ("label", "odd"))
    assert first.folder != second.folder
    assert (len(first.classes), len(second.classes)) == (3, 2)
    assert isinstance(first, ImageData)
