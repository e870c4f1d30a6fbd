"""Muon, for weights of any dimension and in the precision of the training."""

from __future__ import annotations

import math
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.optim import Muon


class WeightMuon(Muon):
    """`torch.optim.Muon` for weights of any dimension, seen as matrices of one row an output.

    Jordan et al. 2024, "Muon: An optimizer for hidden layers in neural networks",
    kellerjordan.github.io/posts/muon: convolutions are flattened, first and last layer left to AdamW. Updates
    are scaled as in Liu et al. 2025, arXiv 2502.16982, so that AdamW's learning rate and decay suit both.

    PyTorch's own multiplies in bf16 whatever the training does, which takes a processor without bf16
    instructions six to eight times as long.
    """

    def __init__(
        self,
        weights: list[nn.Parameter],
        rate: float,
        decay: float,
        momentum: float,
        precision: Literal["fp32", "bf16"],
    ) -> None:
        self._weights = weights
        self._dtype = torch.bfloat16 if precision == "bf16" else torch.float32
        # views, of the very same numbers
        matrices = [
            nn.Parameter(_as_it_lies(weight.detach(), weight).view(len(weight), -1)) for weight in weights
        ]
        super().__init__(
            matrices, rate, decay, momentum, nesterov=momentum > 0, adjust_lr_fn="match_rms_adamw"
        )

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """Update every weight that has a gradient."""
        assert closure is None
        (group,) = self.param_groups
        for weight, matrix in zip(self._weights, group["params"], strict=True):
            if weight.grad is None:
                continue
            gradient = _as_it_lies(weight.grad, weight).flatten(1)
            state = self.state[matrix]
            if "momentum_buffer" not in state:
                state["momentum_buffer"] = torch.zeros_like(gradient)
            average = state["momentum_buffer"].lerp_(gradient, 1 - group["momentum"])
            update = gradient.lerp(average, group["momentum"]) if group["nesterov"] else average
            update = orthogonalised(update.to(self._dtype), group["ns_coefficients"], group["ns_steps"])
            matrix.mul_(1 - group["lr"] * group["weight_decay"])
            matrix.add_(update, alpha=-group["lr"] * 0.2 * math.sqrt(max(matrix.shape)))


def orthogonalised(matrix: Tensor, coefficients: tuple[float, float, float], steps: int) -> Tensor:
    """Nearly the orthogonal matrix next to `matrix`, by Newton-Schulz iteration in its own dtype."""
    a, b, c = coefficients
    wide = matrix.T if len(matrix) > matrix.shape[1] else matrix
    result: Tensor = wide / wide.norm().clamp(min=1e-7)
    for _ in range(steps):
        gram = result @ result.T
        result = torch.addmm(result, torch.addmm(gram, gram, gram, beta=b, alpha=c), result, beta=a)
    return result.T if len(matrix) > matrix.shape[1] else result


def _as_it_lies(tensor: Tensor, weight: Tensor) -> Tensor:
    """With the channels last, if those of `weight` lie there. The order of columns is the same to Muon."""
    return tensor if weight.is_contiguous() else tensor.movedim(1, -1)
