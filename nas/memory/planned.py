"""What planning comes to: how a network is trained under its memory cap, or that it does not fit. No torch
here: the driver reads it too."""

from __future__ import annotations

from dataclasses import dataclass

from nas.memory.allocator import MIB
from nas.memory.program import Memory


@dataclass(frozen=True)
class Levers:
    """What a plan chooses. The batch size is `micro_batch * accumulation`."""

    micro_batch: int
    """Images of one forward and backward."""
    accumulation: int
    """Micro-batches whose gradients add up to one step: a power of two."""
    checkpointing: bool
    """Whether the network is trained as `nas.memory.activation_checkpoints.checkpointed` wraps it."""

    @property
    def kind(self) -> tuple[bool, bool]:
        """What its allocation program depends on: whether it accumulates, whether it sets checkpoints."""
        return self.accumulation > 1, self.checkpointing


@dataclass(frozen=True, kw_only=True)
class MemoryPlan(Levers):
    """How a trial trains within its memory."""

    reservation: int
    """Bytes that the trial's process takes at most, context included, calibrated."""
    memory: Memory | None
    """The predicted peak, before calibration; None where nothing could be predicted."""

    @property
    def levers(self) -> Levers:
        """The choices alone."""
        return Levers(self.micro_batch, self.accumulation, self.checkpointing)

    @property
    def parts(self) -> dict[str, int]:
        """Bytes of the predicted peak by part; empty where nothing could be predicted."""
        return self.memory.parts if self.memory else {}


@dataclass(frozen=True, kw_only=True)
class DoesNotFit:
    """No plan keeps a network under the memory cap. `str` says why, in one line."""

    cap: int
    """Bytes that are allowed."""
    smallest_cap: int
    """Bytes that would do."""
    memory: Memory
    """The predicted peak under the smallest cap, before calibration."""
    smallest_cap_bf16: int | None = None
    """Bytes that would do in bf16, trained the same way; None where it is in use already, or nobody asked."""

    @property
    def largest_part(self) -> str:
        """The field of `Memory` that needs most."""
        parts = self.memory.parts
        return max(parts, key=lambda name: parts[name])

    def __str__(self) -> str:
        part, size = self.largest_part, self.memory.parts[self.largest_part]
        reasons = [
            f"needs {_amount(self.smallest_cap)}, the memory cap is {_amount(self.cap)}",
            f"the largest part is {part.replace('_', ' ')} with {_amount(size)}",
        ]
        if self.smallest_cap_bf16 is not None:
            reasons.append(f"in bf16 it needs {_amount(self.smallest_cap_bf16)}")
        return "; ".join(reasons)


def _amount(size: int) -> str:
    """Rounded up: so much is enough. Of small networks, a MiB would say too little."""
    unit, name = (MIB, "MiB") if size >= 10 * MIB else (2**10, "KiB")
    return f"{-(-size // unit):,} {name}"
