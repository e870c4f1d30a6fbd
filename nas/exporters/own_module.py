"""The export of a network that no search found."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from nas.datasets import ImageData, open_data
from nas.errors import InvalidSetting
from nas.exporters.export import MAX_DROP, Export, export_model
from nas.exporters.trained import TrainedModel

if TYPE_CHECKING:
    from torch import nn


def export(
    model: nn.Module,
    out: Path | str,
    *,
    data: str | ImageData | None = None,
    input_shape: tuple[int, int, int] | None = None,
    classes: Sequence[str] | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    formats: Sequence[str] | None = None,
    uint8: bool = False,
    max_drop: float = MAX_DROP,
    overwrite: bool = False,
) -> Export:
    """Write a module of your own into the folder `out`, in files that need nothing of us, and verify them.

    The module takes normalised float images (batch, channels, height, width) and gives logits (batch,
    classes). It is exported as it evaluates, and not changed. It is verified, and calibrated for int8, on the
    images of `data`; without, it is verified on random images, and int8 is left out.

    Args:
        data: what the module classifies: a known dataset, a path, or a dataset that is open. It also tells
            what the next four do, which are for those that know better.
        input_shape: (channels, height, width).
        classes: their names, in the order of the logits.
        mean, std: of each channel, for images scaled to [0, 1]; 0 and 1 without `data`.
        formats: such as source, torch, onnx, int8; None for whatever is possible here. source needs modules
            whose forward `torch.fx` can follow; where it cannot, it says so.
        uint8: put the preprocessing into the files, so that they take raw images.
        max_drop: accuracy, or whatever metric its study had, that int8 may lose.
        overwrite: replace an earlier export though files in it were added or edited.

    Raises:
        InvalidSetting: neither `data` nor shape and classes are given, or the module does not fit them.
        VerificationFailed: a file does not do what the module does; it was not kept.
        NasError: the folder or the data cannot be used, or a format cannot hold the module.
    """
    images = open_data(data) if isinstance(data, str) else data
    if images is not None:
        input_shape, classes = input_shape or images.info.shape, classes or images.classes
        mean, std = mean or images.mean, std or images.std
    if input_shape is None or not classes:
        raise InvalidSetting("nas.export needs input_shape and classes, or data, which tells both.")
    names = tuple(classes)
    if not all(isinstance(name, str) and name.strip() and name.isprintable() for name in names):
        raise InvalidSetting(f"classes must be the names of the classes, in order, not {classes!r}.")
    if twice := {name for name in names if names.count(name) > 1}:
        raise InvalidSetting(f"No two classes may have one name: {', '.join(sorted(twice))}.")
    channels = input_shape[0]
    facts = {} if images is None else {name: getattr(images, name) for name in FACTS}
    trained = TrainedModel(
        model=model,
        input_shape=input_shape,
        classes=names,
        mean=tuple(mean or (0.0,) * channels),
        std=tuple(std or (1.0,) * channels),
        bits=images.info.bits if images else 8,
        native=images is not None and images.native,
        data=images.info.name if images else None,
        data_facts=facts,
        images=images,
    )
    for name, values in (("mean", trained.mean), ("std", trained.std)):
        if len(values) != channels:
            raise InvalidSetting(f"{name} has {len(values)} values for {channels} channels.")
    return export_model(trained, Path(out), formats, uint8=uint8, max_drop=max_drop, overwrite=overwrite)


FACTS = ("counts", "fingerprint", "split_digest")
"""Of a dataset, for the card."""
