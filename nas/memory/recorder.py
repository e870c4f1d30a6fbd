"""Follows storages: when they come, when they go, and what they are for; and the work that is done."""

from __future__ import annotations

import weakref
from typing import Any, Literal

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from nas.memory.cpu_workspace import scratch_bytes
from nas.memory.cuda_workspace import copies_of, reductions_of
from nas.memory.program import Events, Role
from nas.memory.reduction import Reduction
from nas.seconds.operations import work_of
from nas.seconds.work import total
from nas.training.gradient_sums import ADD, as_autograd_adds

FUSED_SGD = torch.ops.aten._fused_sgd_.default
"""Works in place. Having no fake kernel, it would get real tensors for fake ones, with all their bytes."""


class Recorder(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """While it is entered, sees every storage that an operation on fake tensors returns. Each is one block.

    Fake tensors have storages too, which live as long as a tensor or the autograd graph needs them.
    """

    def __init__(self, kernels: Literal["cpu", "cuda"] | None = None) -> None:
        """`kernels`: see also what those of a device take for themselves, and give back at once."""
        super().__init__()  # type: ignore[no-untyped-call]
        self._kernels = kernels
        self.roles: list[Role] = []
        """What each block is for."""
        self.sizes: list[int] = []
        """Bytes of each block; of the scratch of reductions there is a rule instead."""
        self.reductions: dict[int, Reduction] = {}
        """Of their blocks."""
        self._events: list[int] = []
        self._work: dict[str, float] = {}
        self._live: dict[int, tuple[int, weakref.ref[torch.UntypedStorage]]] = {}

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func is ADD and not kwargs:
            func, args = as_autograd_adds(args)
        copies = copies_of(func, args) if self._kernels == "cuda" else []
        held = [self._new_block("temporaries", size) for size in copies]
        output = None if func is FUSED_SGD else func(*args, **kwargs)
        self._work = total((1, self._work), (1, work_of(func, args, kwargs, output)))
        for tensor in tree_leaves(output):
            if isinstance(tensor, Tensor):
                self._block(tensor)
        if self._kernels == "cuda":
            for reduction in reductions_of(func, args):
                held.append(self._new_block("temporaries", 0))
                self.reductions[held[-1]] = reduction
        elif self._kernels == "cpu" and (size := scratch_bytes(func, args)):
            held.append(self._new_block("workspace", size))
        self._events += [~block for block in held]
        return output

    def label(self, role: Role, *tensors: Tensor) -> list[int]:
        """Say what tensors are for, and take notice of those not seen yet. Returns their blocks."""
        blocks = [self._block(tensor) for tensor in tensors]
        for block in blocks:
            self.roles[block] = role
        return blocks

    def label_temporaries(self, role: Role) -> None:
        """Say what temporaries that still live are for."""
        for block, _ in self._live.values():
            if self.roles[block] == "temporaries":
                self.roles[block] = role

    def take_events(self) -> Events:
        """What happened since the last call."""
        events, self._events = tuple(self._events), []
        return events

    def take_work(self) -> dict[str, float]:
        """What was done since the last call, in the kinds of `nas.seconds.work`."""
        work, self._work = self._work, {}
        return work

    def _block(self, tensor: Tensor) -> int:
        storage = tensor.untyped_storage()
        address = storage._cdata
        if address not in self._live:
            # gradients are on in a forward, repeated by a checkpoint or not; off in backward and optimizer
            role: Role = "activations" if torch.is_grad_enabled() else "temporaries"
            block = self._new_block(role, storage.nbytes())

            def freed(_: object) -> None:
                del self._live[address]
                self._events.append(~block)

            self._live[address] = block, weakref.ref(storage, freed)
        return self._live[address][0]

    def _new_block(self, role: Role, size: int) -> int:
        self.roles.append(role)
        self.sizes.append(size)
        self._events.append(len(self.sizes) - 1)
        return self._events[-1]
