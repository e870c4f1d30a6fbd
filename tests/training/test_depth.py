"""Training on images of 16 bits: no value is lost on the way to the network."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from nas.datasets import ImageData, open_data
from nas.exporters.pixels import normalise
from nas.memory.program import BatchSizes
from nas.memory.trace import trace_training
from nas.space import AUGMENTATIONS, Training
from nas.training.augment import Augmentation, add_noise, brighten, contrast, rotate
from nas.training.images import Images
from nas.training.mixup import mix
from nas.training.values import DTYPES, rounded, top, values
from tests.memory.measure import measured_training

CPU = torch.device("cpu")
EVERY = torch.arange(65536).to(torch.uint16).view(torch.int16).view(16, 64, 64, 1)
"""Every value that 16 bits have, as pixels."""


@pytest.fixture(scope="module")
def bands(tmp_path_factory: pytest.TempPathFactory) -> ImageData:
    """Five channels of 16 bits."""
    file = tmp_path_factory.mktemp("bands") / "bands.npz"
    images = np.random.default_rng(0).integers(0, 65536, (60, 8, 8, 5), dtype=np.uint16)
    np.savez(file, images=images, labels=np.arange(60) % 3)
    return open_data(str(file), depth="native")


def test_every_value_comes_back() -> None:
    assert top(EVERY) == 65535
    assert torch.equal(values(EVERY).flatten(), torch.arange(65536.0))
    assert torch.equal(rounded(values(EVERY), torch.int16), EVERY)
    outside = rounded(torch.tensor([-3.0, 65535.4, 70000.0]), torch.int16)
    assert values(outside).tolist() == [0, 65535, 65535]


@pytest.mark.parametrize("resident", [True, False], ids=["held", "streamed"])
def test_a_batch_is_normalised_by_the_mean_and_deviation_of_each_channel(
    bands: ImageData, resident: bool
) -> None:
    images = Images.load(bands, CPU, resident=resident)
    (pixels, _), *_ = images.train.batches(torch.arange(len(bands.train)), len(bands.train))
    got = images.normalise(pixels)
    expected = normalise(bands.train.images, bands.mean, bands.std)
    assert np.allclose(got.numpy(), expected, atol=1e-5)
    assert got.mean((0, 2, 3)).numpy() == pytest.approx(0, abs=1e-5)
    assert got.std((0, 2, 3), correction=0).numpy() == pytest.approx(1, abs=1e-5)
    assert np.abs(images.normalise(images.mean_color.expand(1, 8, 8, 5)).numpy()).max() < 1e-4


def test_on_the_processor_the_map_itself_is_read(bands: ImageData) -> None:
    images = Images.load(bands, CPU)
    assert images.train.images.untyped_storage().nbytes() == bands.train.images.nbytes
    joined = images.with_val().train
    (pixels, _), *_ = joined.batches(torch.arange(len(joined)), len(joined))
    expected = np.concatenate([bands.train.images, bands.val.images]).astype(np.float32)
    assert np.array_equal(values(pixels).numpy(), expected)


def augmented(pixels: Tensor, *names: str) -> Tensor:
    count, height, width, channels = pixels.shape
    fill = torch.zeros(channels, dtype=pixels.dtype)
    generator = torch.Generator().manual_seed(0)
    augmentation = Augmentation(names, (channels, height, width), count, fill, generator)
    return augmentation(pixels, augmentation.draw(torch.arange(count), 1, generator))


@pytest.mark.parametrize("name", ["shift", "flip", "alternating_flip", "cutout"])
def test_what_moves_pixels_moves_both_of_their_bytes(name: str) -> None:
    numbers = EVERY.view(torch.uint16).int()
    low, high = (numbers % 256).to(torch.uint8), (numbers // 256).to(torch.uint8)
    got = augmented(EVERY, name)
    assert not torch.equal(got, EVERY)
    assert torch.equal(values(got), values(augmented(high, name)) * 256 + values(augmented(low, name)))


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_every_augmentation_does_to_16_bits_what_it_does_to_8(name: str) -> None:
    narrow = torch.randint(256, (16, 9, 8, 2), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    wide = rounded(values(narrow) * 257, torch.int16)
    got, expected = values(augmented(wide, name)) / 257, values(augmented(narrow, name))
    assert augmented(wide, name).dtype == torch.int16
    assert (got - expected).abs().max() <= 0.51


@pytest.mark.parametrize(
    "change",
    [
        lambda pixels, one: rotate(pixels, 0 * one),
        lambda pixels, one: brighten(pixels, one),
        lambda pixels, one: contrast(pixels, one),
        lambda pixels, one: add_noise(pixels, torch.zeros(64 * 64, dtype=torch.int8), one.long() * 0),
    ],
    ids=["rotate", "brighten", "contrast", "add_noise"],
)
def test_what_changes_nothing_keeps_every_value(change: Callable[[Tensor, Tensor], Tensor]) -> None:
    assert (values(change(EVERY, torch.ones(16))) - values(EVERY)).abs().max() <= 0.01


def test_mixed_images_are_blended_by_their_values() -> None:
    pixels = torch.stack([EVERY[0], EVERY[-1]])
    mixed = mix(pixels, 0.25)
    assert torch.allclose(mixed[0], 0.25 * values(EVERY[0]) + 0.75 * values(EVERY[-1]))


@pytest.mark.parametrize("mixup", [0.0, 0.2], ids=["plain", "mixup"])
def test_the_memory_of_a_step_is_predicted_with_the_bytes_of_its_pixels(mixup: float) -> None:
    def network() -> nn.Module:
        return nn.Sequential(nn.Conv2d(5, 2, 3, stride=4), nn.Flatten(), nn.Linear(2 * 8 * 8, 10))

    names = ("shift", "flip", "rotation", "cutout")
    training = Training(batch_size=64, optimizer="sgd", learning_rate=0.1, augmentation=names, mixup=mixup)
    batches = BatchSizes(64, 1, evaluation=1)
    predicted = {
        bits: trace_training(network(), (5, 32, 32), training, bits=bits).peak(batches).allocated
        for bits in DTYPES
    }
    measured = measured_training(network(), (5, 32, 32), training, bits=16).tensors
    assert predicted[16] == pytest.approx(measured, rel=0.01, abs=1000 * 64)
    assert predicted[16] > predicted[8] + 64 * 5 * 32 * 32 / 2


def test_colours_of_deep_images_are_left_as_they_are(bands: ImageData) -> None:
    assert bands.info.augmentations == ("shift", "flip", "alternating_flip", "rotation", "cutout")
