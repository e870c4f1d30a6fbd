"""Loss and accuracy of a network on a split."""

from contextlib import AbstractContextManager

import torch
from torch import Tensor, nn
from torch.nn import functional

from nas.training.images import Examples, Images

BATCH_SIZE = {"cpu": 64}
"""By device type, else 512. On a CPU activations of 64 images stay in its cache: 2.6 times faster than 512."""


@torch.inference_mode()
def evaluate(
    model: nn.Module, images: Images, examples: Examples, autocast: AbstractContextManager[object]
) -> tuple[float, float]:
    """(mean cross-entropy, accuracy in [0, 1]) of `model`, which is left in evaluation mode."""
    model.eval()
    loss = torch.zeros((), device=images.device)
    correct = torch.zeros((), device=images.device, dtype=torch.int64)
    order = torch.arange(len(examples))
    for pixels, labels in images.batches(examples, order, BATCH_SIZE.get(images.device.type, 512)):
        with autocast:
            logits: Tensor = model(images.normalise(pixels)).float()
        loss += functional.cross_entropy(logits, labels, reduction="sum")
        correct += (logits.argmax(1) == labels).sum()
    return loss.item() / len(examples), correct.item() / len(examples)
