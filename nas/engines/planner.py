"""Plans the memory of trials in a thread, while workers train the ones before."""

from __future__ import annotations

import atexit
import queue
import threading
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

from torch import nn

from nas.engines.base import Post
from nas.engines.messages import Estimated, NotPlanned, Planned
from nas.errors import NasError, in_one_line
from nas.machine.ending import PLANNING, wait_for_planning
from nas.memory.plan import build_without_memory, plan_memory
from nas.memory.planned import DoesNotFit, Levers, MemoryPlan
from nas.memory.prediction import MemoryConstants
from nas.memory.program import Memory, Untraceable
from nas.network.layers import layer_table
from nas.network.rough import rough_epoch
from nas.seconds.work import Work
from nas.space import DataInfo, Proposal
from nas.space.load import Space
from nas.space.user_code import aside
from nas.training.logits import WrongLogits

GRACE = 5.0
"""Seconds that it gets to finish what it is at."""

LAST_GRACE = 60.0
"""The same at the end of a program that is not ours."""

atexit.register(wait_for_planning, LAST_GRACE)


@dataclass(frozen=True)
class _Request:
    number: int
    proposal: Proposal
    constants: MemoryConstants
    after: Levers | None


class Planner:
    """Answers each request with a `Planned`, or a `NotPlanned`, in the order of the requests."""

    def __init__(
        self,
        space: Space,
        data: DataInfo,
        *,
        precision: Literal["fp32", "bf16"],
        device: str,
        memory_cap: int,
        post: Post,
        seed: int = 0,
    ) -> None:
        """Args:
        seed: of the study; networks are built as their workers will build them.
        """
        self._space = space
        self._data = data
        self._precision = precision
        self._device: Literal["cpu", "cuda"] = "cuda" if device.startswith("cuda") else "cpu"
        self._cap = memory_cap
        self._post = post
        self._seed = seed
        self._requests: queue.SimpleQueue[_Request | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name=PLANNING, daemon=True)
        self._proposals: Sequence[Proposal] | None = None
        self._enough = 0
        self._closed = False

    def open(self) -> None:
        """Start its thread, which begins with what takes long the first time."""
        self._thread.start()

    def estimate(self, proposals: Sequence[Proposal], enough: int) -> None:
        """Before it is opened: answer with an `Estimated` of these before any plan.

        Args:
            enough: proposals that are estimated even if a plan is waited for.
        """
        self._proposals, self._enough = proposals, enough

    def plan(
        self,
        number: int,
        proposal: Proposal,
        constants: MemoryConstants,
        after: Levers | None = None,
    ) -> None:
        """Plan trial `number`.

        Args:
            constants: calibration included.
            after: what was not frugal enough.
        """
        self._requests.put(_Request(number, proposal, constants, after))

    def close(self) -> None:
        """Wait until it has done what it is at, but not for ever: a network may hang, and
        `nas.machine.ending` knows how to end nevertheless."""
        self._closed = True
        self._requests.put(None)
        if self._thread.ident is not None:
            self._thread.join(GRACE)

    def _work(self) -> None:
        with suppress(Exception):  # what fails here fails again with a request, and is told then
            layer_table(nn.Identity(), (1, 1, 1))  # its first use imports much of torch
        if self._proposals is not None:
            self._post(Estimated(works=tuple(self._estimates())))
        while (request := self._requests.get()) is not None and not self._closed:
            number, message = request.number, None
            try:
                with aside():  # a forward may print
                    message = Planned(number=number, answer=self._answer(request))
            except WrongLogits as error:
                reason = f"{self._space.file}: {error}"
            except NasError as error:
                reason = str(error)
            except BaseException as error:  # of a network: its author must see it, and the search must go on
                reason = in_one_line(error)
            self._post(message or NotPlanned(number=number, reason=reason))

    def _estimates(self) -> Iterator[Work | None]:
        for place, proposal in enumerate(self._proposals or ()):
            late = place >= self._enough and not self._requests.empty()
            yield None if late or self._closed else self._rough(proposal)

    def _rough(self, proposal: Proposal) -> Work | None:
        """None of a network that cannot be built or followed: its plan tells why, if it is ever asked for."""
        with suppress(BaseException), aside():
            network = build_without_memory(partial(self._space.build, proposal, self._data))
            layers = layer_table(network, self._data.shape)
            return rough_epoch(layers, proposal.training.batch_size, self._data, self._precision)
        return None

    def _answer(self, request: _Request) -> MemoryPlan | DoesNotFit:
        training, seed = request.proposal.training, request.proposal.seed(self._seed)
        training = replace(training, batch_size=min(training.batch_size, self._data.num_train))
        try:
            return plan_memory(
                lambda: self._space.build(request.proposal, self._data, seed),
                self._data.shape,
                training,
                cap=self._cap,
                precision=self._precision,
                device=self._device,
                constants=request.constants,
                after=request.after,
                classes=self._data.num_classes,
                bits=self._data.bits,
                ask_bf16=False,  # a search would not change its precision for the answer
            )
        except Untraceable:  # nothing is known, so it gets all that it may have
            if request.after:
                return DoesNotFit(cap=self._cap, smallest_cap=self._cap, memory=Memory())
            return MemoryPlan(
                micro_batch=training.batch_size,
                accumulation=1,
                checkpointing=False,
                reservation=self._cap,
                memory=None,
            )
