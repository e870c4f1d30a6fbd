"""Loss and accuracy of a network on a split."""

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from nas.training.images import Batch, Examples, Images


@torch.inference_mode()
def evaluate(
    model: nn.Module,
    images: Images,
    examples: Examples,
    *,
    precision: Literal["fp32", "bf16"],
    batch_size: int,
    most: int | None = None,
) -> tuple[float, float]:
    """(mean cross-entropy, accuracy in [0, 1]) of `model` on `examples`; leaves it in evaluation mode.

    Args:
        images: whose normalisation the model was trained with.
        most: look at no more than so many, which lie evenly in the split; if None, at all.
    """
    model.eval()
    autocast = torch.autocast(images.device.type, torch.bfloat16, enabled=precision == "bf16")

    def judge(batch: Batch) -> tuple[Tensor, Tensor]:
        """(summed cross-entropy, number of hits)"""
        pixels, labels = batch
        with autocast:
            logits = model(images.normalise(pixels))
        losses = functional.cross_entropy(logits.float(), labels, reduction="sum")
        return losses, (logits.argmax(1) == labels).sum()

    loss = torch.zeros((), device=images.device)
    correct = torch.zeros((), device=images.device, dtype=torch.int64)
    count = min(len(examples), most or len(examples))
    rows = torch.arange(count) * len(examples) // count
    # map, unlike the variable of a loop, lets go of a batch before it gathers the next
    for losses, hits in map(judge, examples.batches(rows, batch_size)):
        loss += losses
        correct += hits
    return loss.item() / count, correct.item() / count
