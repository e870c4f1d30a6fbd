"""The real CIFAR-10 as a folder of 60,000 JPEG files."""

import os

import pytest

from nas.datasets import open_data

CIFAR10 = os.environ.get("NAS_CIFAR10")


@pytest.mark.skipif(CIFAR10 is None, reason="NAS_CIFAR10 names no folder with train/ and test/ of CIFAR-10")
def test_cifar10_comes_out_with_its_known_facts() -> None:
    assert CIFAR10 is not None
    data = open_data(CIFAR10)
    assert data.info.shape == (3, 32, 32)
    assert data.counts == {"train": 45_000, "val": 5_000, "test": 10_000}
    assert data.class_counts["train"] == (4_500,) * 10
    assert data.classes[0] == "airplane"
    assert data.mean == pytest.approx(
        (0.4914, 0.4822, 0.4465), abs=0.002
    )  # of the original's training images
    assert data.std == pytest.approx((0.2470, 0.2435, 0.2616), abs=0.003)
    assert data.imbalance == 1
