"""Groups, such as patients, are never in two splits, and every split has its share of every class."""

from collections import defaultdict
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from PIL import Image

from nas.datasets.groups import told_of_groups
from nas.datasets.source import Listing
from nas.datasets.split import check_classes, stratify
from nas.errors import DataError

TRAIN, VAL, TEST = range(3)


def listing(labels: Any, groups: Any, splits: Any = None) -> Listing:
    labels = np.asarray(labels, np.int64)
    return Listing(
        place="pets.csv",
        classes=tuple("abcdefghij"[: max(2, labels.max() + 1)]),
        labels=labels,
        splits=np.zeros(len(labels), np.int8) if splits is None else np.asarray(splits, np.int8),
        names=[f"{index:04}.png" for index in range(len(labels))],
        read=lambda index: Image.new("L", (4, 4)),
        groups=np.asarray(groups, np.int64),
    )


def splits_of_groups(groups: Any, splits: Any) -> dict[int, set[int]]:
    found: dict[int, set[int]] = defaultdict(set)
    for group, split in zip(groups, splits, strict=True):
        found[int(group)].add(int(split))
    return found


@settings(max_examples=40, deadline=None)
@given(
    images=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 12)), min_size=9, max_size=120),
    brought=st.sampled_from([(), (VAL,), (TEST,)]),
    seed=st.integers(0, 5),
)
def test_no_group_is_ever_in_two_splits(
    images: list[tuple[int, int]], brought: tuple[int, ...], seed: int
) -> None:
    labels, groups = zip(*images, strict=True)
    labels = np.unique(labels, return_inverse=True)[1]
    given_splits = [brought[0] if brought and group < 3 else TRAIN for group in groups]
    try:
        splits = stratify(listing(labels, groups, given_splits), seed)
    except DataError:  # a class with too few groups
        assume(False)
    assert all(len(each) == 1 for each in splits_of_groups(groups, splits).values())
    assert np.array_equal(splits, stratify(listing(labels, groups, given_splits), seed))
    kept = np.array(given_splits) != TRAIN
    assert np.array_equal(splits[kept], np.array(given_splits)[kept])
    assert set(splits.tolist()) == {TRAIN, VAL, TEST}


@settings(max_examples=40, deadline=None)
@given(
    sizes=st.lists(st.lists(st.integers(1, 9), min_size=3, max_size=20), min_size=2, max_size=5),
    seed=st.integers(0, 5),
)
def test_every_split_has_every_class_where_each_group_is_of_one(sizes: list[list[int]], seed: int) -> None:
    labels, groups = [], []
    for label, of_class in enumerate(sizes):
        for size in of_class:
            labels += [label] * size
            groups += [groups[-1] + 1 if groups else 0] * size
    found = listing(labels, groups)
    splits = stratify(found, seed)
    check_classes(found, splits)
    assert set(found.labels[splits == TEST].tolist()) == set(labels)


@pytest.mark.parametrize("seed", range(8))
def test_a_class_of_few_groups_is_in_every_split_though_others_have_fewer_images(seed: int) -> None:
    groups = [0, 0, 1, 1, 2, 2, 3, 3, 4, 5, *(index % 3 for index in range(100))]
    found = listing([0] * 10 + [1] * 100, groups)
    splits = stratify(found, seed)
    assert all({*found.labels[splits == split].tolist()} == {0, 1} for split in (TRAIN, VAL, TEST))


def test_a_class_that_was_dealt_no_test_images_is_told() -> None:
    found = listing([0, 1] * 6, np.arange(12))
    splits = np.array([TRAIN] * 6 + [VAL] * 4 + [TEST, TRAIN], np.int8)
    with pytest.raises(DataError, match=r"class 'b' has no test images"):
        check_classes(found, splits)
    check_classes(listing([0, 1] * 6, np.arange(12), splits), splits)


def test_shares_are_as_near_as_whole_groups_allow() -> None:
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(300), rng.integers(1, 12, 300))
    labels = rng.choice(4, 300, p=(0.7, 0.2, 0.07, 0.03))[groups]
    found = listing(labels, groups)
    splits = stratify(found, 0)
    whole = np.bincount(labels) / len(labels)
    for split, share in ((TRAIN, 0.7), (VAL, 0.15), (TEST, 0.15)):
        part = labels[splits == split]
        assert len(part) / len(labels) == pytest.approx(share, abs=0.01)
        assert np.bincount(part) / len(part) == pytest.approx(whole, abs=0.02)
    said = told_of_groups(found, splits)
    assert said.startswith("300 groups kept together: train 70%, val 15%, test 15% of the images;")
    assert not np.array_equal(splits, stratify(found, 1))


def test_groups_that_a_source_puts_into_two_splits_are_refused() -> None:
    found = listing([0, 1] * 6, np.arange(12) // 2, [TRAIN] * 7 + [VAL] * 3 + [TEST] * 2)
    with pytest.raises(
        DataError, match=r"1 of 6 groups lie in two splits: 0006.png is in train, and 0007.png .* in val"
    ):
        stratify(found, 0)


def test_a_class_of_too_few_groups_is_refused_with_what_to_do() -> None:
    with pytest.raises(DataError, match=r"class 'b' lies in 2 groups only: .*train, val, test.*group=none"):
        stratify(listing([0] * 8 + [1] * 4, [0, 1, 2, 3] * 2 + [4, 4, 5, 5]), 0)
