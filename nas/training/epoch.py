"""What one epoch of training tells. No torch here: the driver and the study read it too."""

import math
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Epoch:
    """The record of one epoch, validation included."""

    number: int
    """Number of the epoch; 1 for the first."""
    train_loss: float
    """Mean over the epoch's batches, label smoothing included."""
    val_loss: float
    """Mean cross-entropy over the validation split, without label smoothing."""
    val_accuracy: float
    """Accuracy on the validation split, in [0, 1], whatever the study's metric is."""
    learning_rate: float
    """Learning rate of the epoch's last step."""
    seconds: float
    """Seconds of training and validation."""
    images_per_second: float
    """Training images divided by the seconds spent on training."""
    peak_allocated: int | None
    """Bytes of live tensors. CUDA: the allocator's peak, with the images that it holds. Elsewhere: the peak
    of one training step, counted in the first epoch that this process trained."""
    peak_reserved: int | None
    """Bytes of the allocator's segments at their peak on CUDA. None elsewhere."""
    peak_resident: int | None
    """Bytes of the process's resident set at its peak, on Linux in this epoch."""
    busy_seconds: float | None = None
    """Seconds that a processor has computed for it, by thread: `seconds` on an idle machine. None on a card,
    and of an epoch that was interrupted."""
    value: float = math.nan
    """The study's metric on the validation split, in [0, 1], which decides. The accuracy unless told."""

    def __post_init__(self) -> None:
        if math.isnan(self.value):
            object.__setattr__(self, "value", self.val_accuracy)


class Diverged(Exception):
    """The loss is no longer finite, or far above that of guessing. The epoch is not reported."""
