"""How much the images of each class count in the loss."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from nas.space.contract import ClassWeights, check_classes


def class_weights(
    weights: ClassWeights, labels: Sequence[Tensor], num_classes: int, classes: Sequence[str]
) -> Tensor | None:
    """float32 (classes,) on the CPU, or None where all images count alike.

    Their mean over the training images is 1, so that learning rates and losses keep their meaning.

    Args:
        labels: of the training images, int64, in as many parts as there are.
        classes: their names, in the order of labels.

    Raises:
        UnknownName: a weight is for no class of the data.
    """
    if weights is None:
        return None
    check_classes({"class_weights": weights}, classes)
    images = sum(torch.bincount(part.cpu(), minlength=num_classes) for part in labels)
    assert isinstance(images, Tensor)
    if weights == "balanced":
        asked = 1 / images.clamp(min=1).double()  # one without an image counts in no loss
    else:
        asked = torch.tensor([weights.get(name, 1.0) for name in classes], dtype=torch.float64)
    mean = (asked * images).sum() / images.sum()
    return (asked / mean).float()
