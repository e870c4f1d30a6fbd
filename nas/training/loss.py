"""The loss of training: cross-entropy, in which some classes may count more than others."""

from torch import Tensor
from torch.nn import functional


def cross_entropy(
    logits: Tensor, labels: Tensor, label_smoothing: float, class_weights: Tensor | None = None
) -> Tensor:
    """Summed over the images.

    Args:
        class_weights: (classes,); the loss of an image, smoothed as it is, times the weight of its label.
            PyTorch's own `weight` multiplies the smoothed part by the weights of all classes instead, so that
            a very rare one would be predicted everywhere.
    """
    if class_weights is None:
        return functional.cross_entropy(logits, labels, label_smoothing=label_smoothing, reduction="sum")
    losses = functional.cross_entropy(logits, labels, label_smoothing=label_smoothing, reduction="none")
    return (losses * class_weights.index_select(0, labels)).sum()
