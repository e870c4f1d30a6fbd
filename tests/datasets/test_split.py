"""Splits are stratified, reproducible, and leave what a source brings as it is."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from nas.datasets.source import Listing
from nas.datasets.split import TEST, TRAIN, VAL, check_classes, digest_split, stratify
from nas.errors import DataError


def listing(sizes: list[int], splits: tuple[int, ...] = (TRAIN,)) -> Listing:
    """A source with so many images of each class in each of these splits."""
    labels = np.tile(np.repeat(np.arange(len(sizes)), sizes), len(splits))
    return Listing(
        place="somewhere",
        classes=tuple(f"class {label}" for label in range(len(sizes))),
        labels=labels,
        splits=np.repeat(np.array(splits, np.int8), sum(sizes)),
        names=[f"image {index}" for index in range(len(labels))],
        read=lambda index: Image.new("L", (1, 1)),
    )


def shares(source: Listing, seed: int = 0) -> list[list[int]]:
    """Images of every class in train, val and test."""
    splits = stratify(source, seed)
    return [
        np.bincount(source.labels[splits == split], minlength=len(source.classes)).tolist()
        for split in (TRAIN, VAL, TEST)
    ]


@pytest.mark.parametrize(
    ("sizes", "given_splits", "expected"),
    [
        ([100, 20], (TRAIN,), [[70, 14], [15, 3], [15, 3]]),
        ([3, 4], (TRAIN,), [[1, 2], [1, 1], [1, 1]]),
        ([100, 20], (TRAIN, TEST), [[90, 18], [10, 2], [100, 20]]),
        ([2, 4], (TRAIN, TEST), [[1, 3], [1, 1], [2, 4]]),
        ([100, 20], (TRAIN, VAL), [[90, 18], [100, 20], [10, 2]]),
        ([1, 4], (TRAIN, VAL, TEST), [[1, 4], [1, 4], [1, 4]]),
    ],
)
def test_what_is_missing_is_cut_from_every_training_class(
    sizes: list[int], given_splits: tuple[int, ...], expected: list[list[int]]
) -> None:
    assert shares(listing(sizes, given_splits)) == expected


@given(st.lists(st.integers(3, 60), min_size=2, max_size=6), st.integers(0, 2**63))
def test_every_class_is_in_every_split_whatever_the_seed(sizes: list[int], seed: int) -> None:
    counts = np.array(shares(listing(sizes), seed))
    assert counts.min() >= 1
    assert counts.sum(axis=0).tolist() == sizes


def test_the_draw_is_the_same_for_ever() -> None:
    drawn = stratify(listing([10, 10]), seed=7)
    assert np.flatnonzero(drawn == VAL).tolist() == [5, 7, 11, 12]
    assert np.flatnonzero(drawn == TEST).tolist() == [1, 3, 17, 18]


def test_another_seed_draws_other_images() -> None:
    source = listing([50, 50])
    first, second = stratify(source, 0), stratify(source, 1)
    assert (first != second).any()
    assert digest_split(source.names, first) != digest_split(source.names, second)
    assert digest_split(source.names, first) == digest_split(source.names, stratify(source, 0))


@pytest.mark.parametrize(
    ("sizes", "given_splits", "message"),
    [
        ([], (TRAIN,), "no images"),
        ([9], (TRAIN,), "one class only, 'class 0'"),
        ([9, 2], (TRAIN,), "'class 1' has too few images: .* train, val, test, and there are 2"),
        ([9, 1], (TRAIN, TEST), "'class 1' has too few images: .* train, val, and there are 1"),
        ([9, 2, 9, 1], (TRAIN,), r"2 classes, 'class 1' \(2\), 'class 3' \(1\), have too few .* val, test"),
        ([9, *[1] * 30], (TRAIN,), r"30 classes, 'class 1' \(1\), .*'class 20' \(1\) and 10 others, have"),
        ([9, 9], (TEST,), r"2 classes, 'class 0' \(0\), 'class 1' \(0\), have too few images"),
    ],
)
def test_too_few_images_are_refused(sizes: list[int], given_splits: tuple[int, ...], message: str) -> None:
    with pytest.raises(DataError, match=f"somewhere: .*{message}"):
        stratify(listing(sizes, given_splits), 0)


@pytest.mark.parametrize(
    ("lost", "message"),
    [(VAL, "'class 1' has no val images"), (TRAIN, "'class 1' has no train images")],
)
def test_a_class_that_lost_all_its_images_is_named(lost: int, message: str) -> None:
    source = listing([4, 4], (TRAIN, VAL, TEST))
    splits = stratify(source, 0)
    splits[(splits == lost) & (source.labels == 1)] = -1
    with pytest.raises(DataError, match=message):
        check_classes(source, splits)


def test_all_classes_that_lost_their_images_are_named() -> None:
    source = listing([4, 4, 4], (TRAIN, VAL, TEST))
    splits = stratify(source, 0)
    splits[(splits == VAL) & (source.labels != 1)] = -1
    with pytest.raises(DataError, match="2 classes, 'class 0', 'class 2', have no val images"):
        check_classes(source, splits)


def test_a_class_may_be_missing_from_the_test_images() -> None:
    source = listing([4, 4], (TRAIN, VAL, TEST))
    splits = stratify(source, 0)
    splits[(splits == TEST) & (source.labels == 1)] = -1
    check_classes(source, splits)
    splits[splits == TEST] = -1
    with pytest.raises(DataError, match="no test images"):
        check_classes(source, splits)
