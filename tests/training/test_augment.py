"""Batched augmentation, compared with torchvision's transforms of single images."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from nas.space import AUGMENTATIONS
from nas.training.augment import (
    LEVELS,
    NOISE,
    Augmentation,
    add_noise,
    brighten,
    contrast,
    cutout,
    cutout_side,
    flip,
    rotate,
    shift,
    shift_reach,
)

SHAPES = [(8, 8, 1), (7, 5, 2), (28, 28, 1), (32, 32, 3), (24, 40, 3)]
COUNT = 16


@pytest.fixture(scope="module")
def transforms() -> Any:
    try:
        from torchvision.transforms import functional as transforms
    except (ImportError, RuntimeError) as error:
        pytest.skip(f"torchvision cannot be imported: {error}")
    return transforms


def random_images(shape: tuple[int, int, int], count: int = COUNT) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(1, 256, (count, *shape), generator=generator, dtype=torch.uint8)


def augmentation(names: tuple[str, ...], shape: tuple[int, int, int], count: int = COUNT) -> Augmentation:
    """Of images of `shape` (height, width, channels); holes are black."""
    height, width, channels = shape
    fill = torch.zeros(channels, dtype=torch.uint8)
    return Augmentation(names, (channels, height, width), count, fill, torch.Generator().manual_seed(0))


def drawn_for(
    shape: tuple[int, int, int], count: int = COUNT, seed: int = 0, names: tuple[str, ...] = ()
) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return augmentation(names, shape, count).draw(torch.arange(count), 1, generator)


def augment(images: Tensor, *names: str) -> Tensor:
    shape, count = (images.shape[1], images.shape[2], images.shape[3]), len(images)
    return augmentation(names, shape, count)(images, drawn_for(shape, count, names=names))


def one_by_one(images: Tensor, transform: Callable[[Tensor, int], Tensor]) -> Tensor:
    """`transform` takes an image (channels, height, width) and its index."""
    return torch.stack(
        [transform(image.permute(2, 0, 1), i).permute(1, 2, 0) for i, image in enumerate(images)]
    )


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_shift_is_a_crop_of_the_padded_image(shape: tuple[int, int, int], transforms: Any) -> None:
    images, reach = random_images(shape), shift_reach(*shape[:2])
    top, left, *_ = drawn_for(shape).unbind(1)

    def crop(image: Tensor, i: int) -> Tensor:
        return transforms.crop(transforms.pad(image, reach), int(top[i]), int(left[i]), *shape[:2])

    assert torch.equal(shift(images, top, left), one_by_one(images, crop))


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_flip_mirrors_the_chosen_images(shape: tuple[int, int, int], transforms: Any) -> None:
    images, mirrored = random_images(shape), drawn_for(shape)[:, 2]
    expected = one_by_one(images, lambda image, i: transforms.hflip(image) if mirrored[i] else image)
    assert torch.equal(flip(images, mirrored), expected)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_cutout_erases_one_square(shape: tuple[int, int, int], transforms: Any) -> None:
    images, side = random_images(shape), cutout_side(*shape[:2])
    *_, top, left = drawn_for(shape).unbind(1)
    fill = torch.arange(7, 7 + shape[2], dtype=torch.uint8)

    def erase(image: Tensor, i: int) -> Tensor:
        return transforms.erase(image, int(top[i]), int(left[i]), side, side, fill[:, None, None])

    assert torch.equal(cutout(images, top, left, fill), one_by_one(images, erase))


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_rotate_is_a_bilinear_rotation(shape: tuple[int, int, int], transforms: Any) -> None:
    images, degrees = random_images(shape), torch.linspace(-10, 10, COUNT)
    bilinear = transforms.InterpolationMode.BILINEAR
    expected = one_by_one(images, lambda image, i: transforms.rotate(image, float(degrees[i]), bilinear))
    difference = (rotate(images, degrees).int() - expected.int()).abs()
    assert difference.max() <= 1


@pytest.mark.parametrize("shape", [(8, 8, 1), (9, 9, 3)], ids=str)
def test_a_quarter_of_a_turn_and_none(shape: tuple[int, int, int]) -> None:
    images = random_images(shape)
    assert torch.equal(rotate(images, torch.zeros(COUNT)), images)
    assert torch.equal(rotate(images, torch.full((COUNT,), 90.0)), torch.rot90(images, 1, (1, 2)))


def test_an_image_that_is_no_square_turns_like_a_square_around_it() -> None:
    images, degrees = random_images((8, 12, 1)), torch.linspace(-10, 10, COUNT)
    square = functional.pad(images, (0, 0, 0, 0, 2, 2))
    difference = rotate(images, degrees).int() - rotate(square, degrees)[:, 2:-2].int()
    assert difference.abs().max() <= 1


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("factor", [0.8, 1.0, 1.2])
def test_brighten_multiplies(shape: tuple[int, int, int], factor: float) -> None:
    images = random_images(shape)
    expected = (images.double() * factor).round().clamp(0, 255)
    assert (brighten(images, torch.full((COUNT,), factor)) - expected).abs().max() <= 1


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("factor", [0.8, 1.0, 1.2])
def test_contrast_keeps_the_mean_and_stretches_the_rest(shape: tuple[int, int, int], factor: float) -> None:
    images = random_images(shape)
    mean = images.double().mean((1, 2, 3), keepdim=True)
    expected = (mean + factor * (images - mean)).round().clamp(0, 255)
    assert (contrast(images, torch.full((COUNT,), factor)) - expected).abs().max() <= 1


def test_brightness_and_contrast_are_those_of_torchvision(transforms: Any) -> None:
    images, factors = random_images((9, 7, 1)), torch.linspace(0.8, 1.2, COUNT)
    for ours, theirs in ((brighten, transforms.adjust_brightness), (contrast, transforms.adjust_contrast)):
        expected = one_by_one(images, lambda image, i, theirs=theirs: theirs(image, float(factors[i])))
        difference = (ours(images, factors).int() - expected.int()).abs()
        assert difference.max() <= 1  # torchvision rounds towards zero


def test_noise_is_normal_and_another_on_each_image() -> None:
    images = torch.full((500, 8, 8, 3), 128, dtype=torch.uint8)
    noise = augment(images, "noise").float() - 128
    assert noise.mean().item() == pytest.approx(0, abs=0.2)
    assert noise.std().item() == pytest.approx(NOISE, rel=0.05)
    assert len(noise.flatten(1).unique(dim=0)) > 490
    within = (noise.abs() < NOISE).float().mean().item()
    assert within == pytest.approx(0.68, abs=0.04)


def test_noise_adds_a_piece_of_grain_and_stays_in_range() -> None:
    images = torch.tensor([0, 100, 255], dtype=torch.uint8).view(1, 1, 3, 1).repeat(2, 1, 1, 1)
    grain = torch.tensor([-5, 7, 9, 11], dtype=torch.int8)
    changed = add_noise(images, grain, torch.tensor([0, 1]))
    assert changed.flatten(1).tolist() == [[0, 107, 255], [7, 109, 255]]


def test_alternating_flip_mirrors_half_of_the_images_and_the_others_an_epoch_later() -> None:
    generator = torch.Generator().manual_seed(0)
    alternating = augmentation(("alternating_flip",), (8, 8, 1), 2000)
    epochs = []
    for epoch in (1, 2, 3):
        order = torch.randperm(2000, generator=generator)
        mirrored = alternating.draw(order, epoch, generator)[:, 2]
        epochs.append(mirrored[order.argsort()])
    first, second, third = epochs
    assert torch.equal(first + second, torch.ones(2000, dtype=torch.int64))
    assert torch.equal(first, third)
    assert first.float().mean().item() == pytest.approx(0.5, abs=0.05)


def test_alternating_flip_mirrors_like_flip() -> None:
    images = random_images((8, 8, 1))
    alternating = augmentation(("alternating_flip",), (8, 8, 1))
    drawn = alternating.draw(torch.arange(COUNT), 1, torch.Generator())
    assert torch.equal(alternating(images, drawn), flip(images, drawn[:, 2]))


def test_all_are_applied_in_the_order_of_their_names() -> None:
    images, names = random_images((32, 32, 3)), tuple(name for name in AUGMENTATIONS if name != "flip")
    drawn = drawn_for((32, 32, 3), names=names)
    top, left, mirrored, hole_top, hole_left, angle, bright, strong, start = drawn.unbind(1)
    share = torch.stack([angle, bright, strong]) * (2 / (LEVELS - 1)) - 1
    everything = augmentation(names, (32, 32, 3))
    expected = rotate(flip(shift(images, top, left), mirrored), 10 * share[0])
    expected = contrast(brighten(expected, 1 + 0.2 * share[1]), 1 + 0.2 * share[2])
    expected = add_noise(expected, everything.grain, start)
    expected = cutout(expected, hole_top, hole_left, torch.zeros(3, dtype=torch.uint8))
    assert (everything(images, drawn).int() - expected.int()).abs().max() <= 1


@pytest.mark.parametrize("names", [(), *((name,) for name in AUGMENTATIONS)], ids=str)
def test_only_what_is_named_is_done_and_the_images_themselves_stay(names: tuple[str, ...]) -> None:
    images = random_images((32, 32, 3))
    before = images.clone()
    changed = augment(images, *names)
    assert torch.equal(images, before)
    assert torch.equal(changed, images) == (not names)
    assert changed.dtype == torch.uint8
    assert changed.shape == images.shape
    assert changed.is_contiguous()


@pytest.mark.parametrize("flipped", ["flip", "alternating_flip"])
def test_parts_of_a_batch_are_augmented_like_the_batch(flipped: str) -> None:
    names = tuple(name for name in AUGMENTATIONS if "flip" not in name or name == flipped)
    images, drawn, change = (
        random_images((9, 9, 1)),
        drawn_for((9, 9, 1), names=names),
        augmentation(names, (9, 9, 1)),
    )
    parts = [change(*part) for part in zip(images.split(5), drawn.split(5), strict=True)]
    assert torch.equal(torch.cat(parts), change(images, drawn))


@pytest.mark.parametrize("names", [(), ("shift", "flip", "cutout")], ids=str)
def test_proposals_of_the_first_version_draw_what_they_always_drew(names: tuple[str, ...]) -> None:
    generator = torch.Generator().manual_seed(3)
    columns = [torch.randint(limit, (COUNT,), generator=generator) for limit in (9, 9, 2, 25, 25)]
    assert torch.equal(drawn_for((32, 32, 3), seed=3, names=names), torch.stack(columns, dim=1))


def test_a_shift_reaches_every_place_within_an_eighth_of_the_image() -> None:
    images = torch.zeros(2000, 16, 16, 1, dtype=torch.uint8)
    images[:, 8, 8] = 255
    moved = augment(images, "shift")
    places = {(row, column) for _, row, column, _ in moved.nonzero().tolist()}
    assert places == {(row, column) for row in range(6, 11) for column in range(6, 11)}


def test_a_hole_has_a_quarter_of_the_side_and_reaches_every_place_within_the_image() -> None:
    images = torch.ones(2000, 8, 8, 1, dtype=torch.uint8)
    cut = augment(images, "cutout")
    assert (cut == 0).flatten(1).sum(1).eq(4).all()
    assert (cut == 0).any(0).all()


def test_half_of_the_images_are_mirrored() -> None:
    assert drawn_for((8, 8, 1), 2000)[:, 2].float().mean().item() == pytest.approx(0.5, abs=0.05)


def test_random_numbers_depend_on_the_seed_alone() -> None:
    assert torch.equal(drawn_for((8, 8, 1)), drawn_for((8, 8, 1)))
    assert not torch.equal(drawn_for((8, 8, 1)), drawn_for((8, 8, 1), seed=1))
