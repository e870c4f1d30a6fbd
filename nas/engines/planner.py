"""Plans the memory of trials in a thread, while workers train the ones before."""

from __future__ import annotations

import atexit
import queue
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, Literal

from torch import nn

from nas.engines.base import Post
from nas.engines.messages import NotPlanned, Plan, Planned
from nas.errors import NasError, in_one_line
from nas.machine.ending import PLANNING, wait_for_planning
from nas.memory.plan import DoesNotFit, Levers, plan_memory
from nas.memory.prediction import MemoryConstants
from nas.memory.program import Untraceable
from nas.network.layers import layer_table
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
    after: Mapping[str, Any] | None


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
        self._closed = False

    def open(self) -> None:
        """Start its thread, which begins with what takes long the first time."""
        self._thread.start()

    def plan(
        self,
        number: int,
        proposal: Proposal,
        constants: Mapping[str, Any],
        after: Mapping[str, Any] | None = None,
    ) -> None:
        """Plan trial `number`.

        Args:
            constants: fields of `MemoryConstants`, calibration included.
            after: the levers of a plan that was not frugal enough.
        """
        self._requests.put(_Request(number, proposal, MemoryConstants(**constants), after))

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
        while (request := self._requests.get()) is not None and not self._closed:
            try:
                with aside():  # a forward may print
                    answer: Planned | NotPlanned = self._answer(request)
            except WrongLogits as error:
                answer = NotPlanned(number=request.number, reason=f"{self._space.file}: {error}")
            except NasError as error:
                answer = NotPlanned(number=request.number, reason=str(error))
            except BaseException as error:  # of a network: its author must see it, and the search must go on
                answer = NotPlanned(number=request.number, reason=in_one_line(error))
            self._post(answer)

    def _answer(self, request: _Request) -> Planned:
        training, seed = request.proposal.training, request.proposal.seed(self._seed)
        training = replace(training, batch_size=min(training.batch_size, self._data.num_train))
        try:
            found = plan_memory(
                lambda: self._space.build(request.proposal, self._data, seed),
                self._data.shape,
                training,
                cap=self._cap,
                precision=self._precision,
                device=self._device,
                constants=request.constants,
                after=Levers(**request.after) if request.after else None,
                classes=self._data.num_classes,
                ask_bf16=False,  # a search would not change its precision for the answer
            )
        except Untraceable as error:
            if request.after:
                return Planned(number=request.number, plan=None, needed=self._cap, reason=str(error))
            return Planned(number=request.number, plan=self._whole_cap(training.batch_size), needed=self._cap)
        if isinstance(found, DoesNotFit):
            return Planned(
                number=request.number,
                plan=None,
                needed=found.smallest_cap,
                parts=found.memory.parts,
                reason=str(found),
            )
        plan = Plan(
            micro_batch=found.micro_batch,
            accumulation=found.accumulation,
            checkpointing=found.checkpointing,
            predicted=found.predicted,
            parts=found.memory.parts,
        )
        return Planned(number=request.number, plan=plan, needed=plan.predicted, parts=plan.parts)

    def _whole_cap(self, batch_size: int) -> Plan:
        """For a network that cannot be traced: nothing is known, so it gets all that it may have."""
        return Plan(
            micro_batch=batch_size, accumulation=1, checkpointing=False, predicted=self._cap, parts={}
        )
