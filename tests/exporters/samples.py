"""Networks to export, untrained: what counts is that the export computes the same."""

from __future__ import annotations

import importlib.util
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import optuna
import torch
from optuna.samplers import RandomSampler
from torch import nn

from nas.exporters import Origin, TrainedModel
from nas.exporters.formats import source
from nas.space import DataInfo
from nas.space.load import load_space, shipped_spaces

optuna.logging.set_verbosity(optuna.logging.WARNING)

Shape = tuple[int, int, int]

ORIGIN = Origin(
    study="mine-pets",
    trial=7,
    space="mine",
    space_version=2,
    params={"width": 3, "rate": 0.1},
    value=0.875,
)


NOTE = """
from nas.errors import NasError
from nas.exporters.runtime import Runtime

LOSSY = False


def check():
    pass


def export(trained, folder, *, uint8):
    (folder / "note.txt").write_text("{content}")


def load(folder, threads):
    import numpy

    logits = numpy.{logits}(3, dtype="float32")
    return Runtime(lambda images: numpy.tile(logits, (len(images), 1)), uint8=False)


def usage(*, uint8):
    return "print(open('note.txt').read())"
"""
"""A format of another distribution, which writes a note and gives the same logits for every image."""


def trained(model: nn.Module, shape: Shape, **facts: Any) -> TrainedModel:
    """`model` as if it were a trial's."""
    channels = shape[0]
    defaults: dict[str, Any] = {
        "classes": ("cat", "dog", "emu"),
        "mean": (0.5, 0.4, 0.3)[:channels],
        "std": (0.25, 0.2, 0.3)[:channels],
        "data": "pets",
        "origin": ORIGIN,
        "versions": {"nas": "0.1.0", "torch": "2.11"},
    }
    return TrainedModel(model=model.eval(), input_shape=shape, **defaults | facts)


def simple(shape: Shape = (1, 8, 8), classes: tuple[str, ...] = ("cat", "dog", "emu")) -> TrainedModel:
    """One fully connected layer, random as trained weights are."""
    channels, height, width = shape
    torch.manual_seed(0)
    layers = {"flatten": nn.Flatten(), "classifier": nn.Linear(channels * height * width, len(classes))}
    return trained(nn.Sequential(OrderedDict(layers)), shape, classes=classes)


def used(model: nn.Module, shape: Shape) -> nn.Module:
    """`model` with the running statistics of some random images, so that batch norms do something."""
    model.train()
    with torch.no_grad():
        model(torch.rand(4, *shape))
    return model.eval()


def sampled(shape: Shape, count: int) -> Iterator[TrainedModel]:
    """Random architectures of every shipped space."""
    data = DataInfo(
        name="pets", shape=shape, num_classes=3, num_train=1000, num_val=100, augmentations=("shift",)
    )
    for name in shipped_spaces():
        space = load_space(name)
        study = optuna.create_study(sampler=RandomSampler(seed=0))
        for _ in range(count):
            trial = study.ask()
            torch.manual_seed(trial.number)
            model = used(space.build(space.suggest(trial, data), data), shape)
            origin = replace(ORIGIN, space=name, space_version=space.version, params=trial.params)
            yield trained(model, shape, origin=origin)


def imported(model: TrainedModel, folder: Path) -> ModuleType:
    """The model.py that `model` exports into `folder`, unchecked and imported into this process."""
    folder.mkdir(parents=True, exist_ok=True)
    source.export(model, folder, uint8=False)
    spec = importlib.util.spec_from_file_location("exported_model", folder / "model.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
