"""Loss of a network on a split, and how it classifies its images."""

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from nas.metrics.base import ClassCounts
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
) -> tuple[float, ClassCounts]:
    """(mean cross-entropy, counts by class) of `model` on `examples`; leaves it in evaluation mode.

    Args:
        images: whose normalisation the model was trained with.
        most: look at no more than so many, which lie evenly in the split; if None, at all.
    """
    model.eval()
    autocast = torch.autocast(images.device.type, torch.bfloat16, enabled=precision == "bf16")

    def judge(batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
        """(summed cross-entropy, labels, predicted classes)"""
        pixels, labels = batch
        with autocast:
            logits = model(images.normalise(pixels))
        losses = functional.cross_entropy(logits.float(), labels, reduction="sum")
        return losses, labels, logits.argmax(1)

    loss = torch.zeros((), device=images.device)
    # (3, classes) rather than (classes, classes), which many classes would make large
    counts = torch.zeros(3, images.info.num_classes, device=images.device, dtype=torch.int64)
    hits, support, predicted = counts
    count = min(len(examples), most or len(examples))
    rows = torch.arange(count) * len(examples) // count
    # map, unlike the variable of a loop, lets go of a batch before it gathers the next
    for losses, labels, classes in map(judge, examples.batches(rows, batch_size)):
        loss += losses
        one = torch.ones_like(labels)
        hits.index_add_(0, labels, (classes == labels).long())
        support.index_add_(0, labels, one)
        predicted.index_add_(0, classes, one)
    return loss.item() / count, ClassCounts(*counts.cpu().numpy())
