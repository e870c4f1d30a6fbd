"""What an epoch that was stopped midway needs to go on."""

from __future__ import annotations

from typing import NamedTuple, Self

import torch
from torch import Tensor


class Pause(NamedTuple):
    """Where an epoch stands between two steps."""

    drawn_from: Tensor
    """State of the trainer's generator when the epoch began: what is drawn for an epoch is drawn again."""
    steps: int
    """Steps that are done."""
    loss: Tensor
    """Sum of the losses of these steps, float32 scalar."""
    seconds: float
    """Seconds that the epoch has taken so far."""
    random: Tensor
    """State of the default generator of the CPU, and in `device_random` of CUDA: dropout draws from them."""
    device_random: Tensor | None

    @classmethod
    def now(cls, drawn_from: Tensor, steps: int, loss: Tensor, seconds: float) -> Self:
        """With the generators as they stand."""
        device = torch.cuda.get_rng_state(loss.device) if loss.is_cuda else None
        return cls(drawn_from, steps, loss.clone(), seconds, torch.get_rng_state(), device)

    def restore_randomness(self, device: torch.device) -> None:
        """Let dropout go on with the very next random number."""
        torch.set_rng_state(self.random.cpu())
        if device.type == "cuda" and self.device_random is not None:
            torch.cuda.set_rng_state(self.device_random.cpu(), device)
