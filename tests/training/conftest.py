"""Digits, and one thread."""

from collections.abc import Iterator

import pytest
import torch

from nas.datasets import ImageData, open_data
from nas.training.images import Images


@pytest.fixture(scope="module")
def digits() -> ImageData:
    return open_data("digits")


@pytest.fixture(scope="module")
def images(digits: ImageData) -> Images:
    return Images.load(digits, torch.device("cpu"))


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
