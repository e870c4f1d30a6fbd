"""Batched augmentation, compared with torchvision's transforms of single images."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from nas.training.augment import augment, cutout, cutout_side, draw, flip, shift, shift_reach

SHAPES = [(8, 8, 1), (7, 5, 2), (28, 28, 1), (32, 32, 3), (24, 40, 3)]
COUNT = 16


@pytest.fixture(scope="module")
def transforms() -> Any:
    try:
        from torchvision.transforms import functional
    except (ImportError, RuntimeError) as error:
        pytest.skip(f"torchvision cannot be imported: {error}")
    return functional


def random_images(shape: tuple[int, int, int], count: int = COUNT) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(1, 256, (count, *shape), generator=generator, dtype=torch.uint8)


def drawn_for(shape: tuple[int, int, int], count: int = COUNT, seed: int = 0) -> Tensor:
    return draw(count, *shape[:2], torch.Generator().manual_seed(seed))


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


def test_the_order_is_shift_flip_cutout() -> None:
    images, drawn, fill = (
        random_images((32, 32, 3)),
        drawn_for((32, 32, 3)),
        torch.zeros(3, dtype=torch.uint8),
    )
    top, left, mirrored, hole_top, hole_left = drawn.unbind(1)
    expected = cutout(flip(shift(images, top, left), mirrored), hole_top, hole_left, fill)
    assert torch.equal(augment(images, drawn, ("shift", "flip", "cutout"), fill), expected)


@pytest.mark.parametrize("names", [(), ("shift",), ("flip",), ("cutout",)], ids=str)
def test_only_what_is_named_is_done_and_the_images_themselves_stay(names: tuple[str, ...]) -> None:
    images, fill = random_images((32, 32, 3)), torch.zeros(3, dtype=torch.uint8)
    before = images.clone()
    changed = augment(images, drawn_for((32, 32, 3)), names, fill)
    assert torch.equal(images, before)
    assert torch.equal(changed, images) == (not names)
    assert changed.dtype == torch.uint8
    assert changed.shape == images.shape


def test_parts_of_a_batch_are_augmented_like_the_batch() -> None:
    images, drawn, fill = random_images((9, 9, 1)), drawn_for((9, 9, 1)), torch.zeros(1, dtype=torch.uint8)
    names = ("shift", "flip", "cutout")
    parts = [augment(*part, names, fill) for part in zip(images.split(5), drawn.split(5), strict=True)]
    assert torch.equal(torch.cat(parts), augment(images, drawn, names, fill))


def test_a_shift_reaches_every_place_within_an_eighth_of_the_image() -> None:
    images = torch.zeros(2000, 16, 16, 1, dtype=torch.uint8)
    images[:, 8, 8] = 255
    moved = augment(images, drawn_for((16, 16, 1), 2000), ("shift",), torch.zeros(1, dtype=torch.uint8))
    places = {(row, column) for _, row, column, _ in moved.nonzero().tolist()}
    assert places == {(row, column) for row in range(6, 11) for column in range(6, 11)}


def test_a_hole_has_a_quarter_of_the_side_and_reaches_every_place_within_the_image() -> None:
    images = torch.ones(2000, 8, 8, 1, dtype=torch.uint8)
    cut = augment(images, drawn_for((8, 8, 1), 2000), ("cutout",), torch.zeros(1, dtype=torch.uint8))
    assert (cut == 0).flatten(1).sum(1).eq(4).all()
    assert (cut == 0).any(0).all()


def test_half_of_the_images_are_mirrored() -> None:
    assert drawn_for((8, 8, 1), 2000)[:, 2].float().mean().item() == pytest.approx(0.5, abs=0.05)


def test_random_numbers_depend_on_the_seed_alone() -> None:
    assert torch.equal(drawn_for((8, 8, 1)), drawn_for((8, 8, 1)))
    assert not torch.equal(drawn_for((8, 8, 1)), drawn_for((8, 8, 1), seed=1))
