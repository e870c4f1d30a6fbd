"""What processor time does `Trainer` save over the loop a user would write? Both in one process, in turns.

    NAS_CIFAR10=... python -m tests.benchmarks.training_speed --repeats 5

One epoch each on 5,000 CIFAR-10 images (random pixels where NAS_CIFAR10 names no folder) with its validation.
The user's loop has float images in memory, channels first, and PyTorch's default optimizer and memory format.
"""

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional

from nas.datasets import ImageData, open_data
from nas.space import Training
from nas.training.images import Images
from nas.training.loop import Trainer

TARGET = 0.9
SHIFT = 4
"""Pixels that a 32x32 image moves at most."""


@dataclass(frozen=True)
class Network:
    """Three convolutions of `width`, twice and four times `width` filters, and two linear layers."""

    width: int
    norm: bool
    batch_size: int

    def build(self) -> nn.Module:
        torch.manual_seed(0)
        layers: list[nn.Module] = []
        inputs = 3
        for outputs in (self.width, 2 * self.width, 4 * self.width):
            layers.append(nn.Conv2d(inputs, outputs, 3, padding=1, bias=not self.norm))
            if self.norm:
                layers.append(nn.BatchNorm2d(outputs))
            layers += [nn.ReLU(), nn.MaxPool2d(2)]
            inputs = outputs
        return nn.Sequential(
            *layers, nn.Flatten(), nn.Linear(16 * inputs, 128), nn.ReLU(), nn.Linear(128, 10)
        )

    def __str__(self) -> str:
        widths = "-".join(str(self.width * factor) for factor in (1, 2, 4))
        return f"{widths}{' BN' if self.norm else ''}, batch {self.batch_size}"


class UserLoop:
    """Plain PyTorch on preloaded floats."""

    def __init__(self, data: ImageData) -> None:
        mean, std = (torch.tensor(values)[:, None, None] for values in (data.mean, data.std))
        self.train, self.val = (
            (
                (torch.tensor(split.images).permute(0, 3, 1, 2).contiguous() / 255 - mean) / std,
                torch.tensor(split.labels),
            )
            for split in (data.train, data.val)
        )

    def epoch(self, model: nn.Module, batch_size: int, augmented: bool) -> None:
        optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
        images, labels = self.train
        model.train()
        running = 0.0
        for rows in torch.randperm(len(labels)).split(batch_size)[: len(labels) // batch_size]:
            batch = images[rows]
            if augmented:
                batch = shift_and_flip(batch)
            optimizer.zero_grad()
            loss = functional.cross_entropy(model(batch), labels[rows])
            loss.backward()
            optimizer.step()
            running += loss.item()
        model.eval()
        correct = 0
        with torch.no_grad():
            for batch, truth in zip(*(tensor.split(batch_size) for tensor in self.val), strict=True):
                correct += int((model(batch).argmax(1) == truth).sum())


def shift_and_flip(images: Tensor) -> Tensor:
    """Each image by itself, out of a padded batch."""
    padded = functional.pad(images, [SHIFT] * 4)
    height, width = images.shape[2:]
    places = torch.randint(2 * SHIFT + 1, (len(images), 2)).tolist()
    images = torch.stack(
        [
            image[:, top : top + height, left : left + width]
            for image, (top, left) in zip(padded, places, strict=True)
        ]
    )
    return torch.where((torch.rand(len(images)) < 0.5)[:, None, None, None], images.flip(3), images)


def our_epoch(model: nn.Module, images: Images, batch_size: int, augmented: bool) -> None:
    names = ("shift", "flip") if augmented else ()
    training = Training(batch_size=batch_size, optimizer="adamw", learning_rate=1e-3, augmentation=names)
    list(Trainer(model, images, training, epochs=1, precision="fp32", seed=0).run())


def load_images(count: int) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """`count` images of ten classes and their labels."""
    labels = np.arange(count) % 10
    folder = os.environ.get("NAS_CIFAR10")
    if not folder:
        print("random pixels: NAS_CIFAR10 names no folder")
        return np.random.default_rng(0).integers(0, 256, (count, 32, 32, 3), dtype=np.uint8), labels
    classes = [sorted(path.iterdir()) for path in sorted(Path(folder, "train").iterdir())]
    files = [classes[label][index // 10] for index, label in enumerate(labels)]
    return np.stack([np.asarray(Image.open(file).convert("RGB")) for file in files]), labels


def open_images(count: int, folder: Path) -> ImageData:
    """`load_images` as a dataset with train and validation split, decoded into `folder`."""
    os.environ["NAS_CACHE"] = str(folder)
    images, labels = load_images(count)
    np.savez(folder / "images.npz", images=images, labels=labels)
    return open_data(str(folder / "images.npz"))


def cost(work: Callable[[], None]) -> tuple[float, float]:
    """(CPU seconds, wall seconds)"""
    cpu, wall = time.process_time(), time.perf_counter()
    work()
    return time.process_time() - cpu, time.perf_counter() - wall


def compare(
    network: Network, augmented: bool, user: UserLoop, images: Images, repeats: int
) -> tuple[float, float]:
    """Print the medians of one case; returns its ratios of CPU and wall time."""
    users, ours = [], []
    for _ in range(repeats):
        model = network.build()
        users.append(cost(lambda model=model: user.epoch(model, network.batch_size, augmented)))
        model = network.build()
        ours.append(cost(lambda model=model: our_epoch(model, images, network.batch_size, augmented)))
    (user_cpu, user_wall), (our_cpu, our_wall) = (
        [statistics.median(times) for times in zip(*runs, strict=True)] for runs in (users, ours)
    )
    cpu, wall = our_cpu / user_cpu, our_wall / user_wall
    augmentation = "shift and flip" if augmented else "none"
    print(
        f"{network!s:26} {augmentation:15} {user_cpu:7.2f} {our_cpu:7.2f} {cpu:7.2f} {wall:7.2f}", flush=True
    )
    return cpu, wall


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--images", type=int, default=5000)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--widths", type=int, nargs="+", default=[16, 32])
    settings = parser.parse_args()
    torch.set_num_threads(settings.threads)
    with tempfile.TemporaryDirectory() as folder:
        data = open_images(settings.images, Path(folder))
        user, images = UserLoop(data), Images.load(data, torch.device("cpu"))
        print(f"{'network':26} {'augmentation':15} {'user s':>7} {'ours s':>7} {'CPU':>7} {'wall':>7}")
        ratios = [
            compare(Network(width, norm, batch_size), augmented, user, images, settings.repeats)
            for width, norm, batch_size, augmented in product(
                settings.widths, (False, True), (64, 128), (False, True)
            )
        ]
    cpu, wall = (statistics.median(values) for values in zip(*ratios, strict=True))
    print(f"median ratio: CPU {cpu:.2f} (target: {TARGET}), wall {wall:.2f}; worst CPU {max(ratios)[0]:.2f}")


if __name__ == "__main__":
    main()
