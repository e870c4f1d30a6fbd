"""The bytes of live tensors, counted during a training step on the CPU, whose allocator keeps no account."""

from __future__ import annotations

import weakref
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from nas.training.gradient_sums import ADD, as_autograd_adds


class LiveBytes(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """While it is entered, counts the storages of some tensors and of all that operations make.

    A storage counts once, whatever views it has, from its making until nothing needs it any more: no tensor,
    and no node of autograd. Others that were there before do not count, nor what kernels use inside.
    """

    def __init__(self, present: Iterable[Tensor]) -> None:
        """`present`: what lives already and counts: parameters, buffers, optimizer state, the batch."""
        super().__init__()  # type: ignore[no-untyped-call]
        self.peak = 0
        """The most bytes at once, so far."""
        self._live = 0
        self._storages: dict[int, weakref.ref[torch.UntypedStorage]] = {}
        for tensor in present:
            self._count(tensor)

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func is ADD and not kwargs:  # as without us
            func, args = as_autograd_adds(args)
        output = func(*args, **(kwargs or {}))
        if not any(value.alias_info for value in func._schema.returns):  # not a view, nor in place
            for tensor in tree_leaves(output):
                if isinstance(tensor, Tensor):
                    self._count(tensor)
        return output

    def _count(self, tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        address, size = storage._cdata, storage.nbytes()
        if address in self._storages:
            return

        def freed(_: object) -> None:
            del self._storages[address]
            self._live -= size

        self._storages[address] = weakref.ref(storage, freed)
        self._live += size
        self.peak = max(self.peak, self._live)
