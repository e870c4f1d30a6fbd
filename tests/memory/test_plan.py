import math
from collections.abc import Callable
from functools import partial
from typing import get_args

import pytest
import torch
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st
from torch import nn

from nas.memory.allocator import MIB
from nas.memory.plan import plan_memory
from nas.memory.planned import DoesNotFit, Levers, MemoryPlan
from nas.memory.prediction import Device, MemoryConstants
from nas.memory.trace import Precision
from nas.space import Optimizer, Training
from tests.grids import each_once, first_of
from tests.memory.measure import peak_of
from tests.memory.networks import CLASSES, SHAPE, Residual, deep, normalised, plain, settings

GIB = 2**30
WIDE = partial(normalised, 64)
SHALLOW = partial(deep, depth=3)
Build = Callable[[], nn.Module]


def plan(
    build: Build = WIDE,
    cap: int = 100 * GIB,
    *,
    training: Training | None = None,
    precision: Precision = "fp32",
    device: Device = "cuda",
    constants: MemoryConstants | None = None,
    after: Levers | None = None,
) -> MemoryPlan | DoesNotFit:
    return plan_memory(
        build,
        SHAPE,
        training or settings(256),
        cap=cap,
        precision=precision,
        device=device,
        constants=constants or MemoryConstants(),
        after=after,
    )


def fitting(*arguments: object, **settings: object) -> MemoryPlan:
    result = plan(*arguments, **settings)  # type: ignore[arg-type]
    assert isinstance(result, MemoryPlan)
    return result


def refused(*arguments: object, **settings: object) -> DoesNotFit:
    result = plan(*arguments, **settings)  # type: ignore[arg-type]
    assert isinstance(result, DoesNotFit)
    return result


def shrinking_plans(build: Build, batch_size: int, device: Device) -> list[tuple[int, int, bool]]:
    """(micro-batch, accumulation, checkpointing) of each plan, as the cap sinks below one after the other."""
    plans = []
    cap = 100 * GIB
    while isinstance(found := plan(build, cap, training=settings(batch_size), device=device), MemoryPlan):
        way = found.micro_batch, found.accumulation, found.checkpointing
        if way not in plans:
            plans.append(way)
        cap = found.reservation - 1
    return plans


@pytest.mark.parametrize("device", first_of(1, ["cuda", "cpu"]))
def test_as_the_cap_sinks_batches_are_split_before_checkpoints_are_set(device: Device) -> None:
    ways = shrinking_plans(SHALLOW, 256, device)
    assert ways[:4] == [(256, 1, False), (128, 2, False), (64, 4, False), (32, 8, False)]
    assert ways == sorted(ways, key=lambda way: way[2])
    assert ways[-1][2]


@pytest.mark.parametrize(
    ("build", "batch_size", "smallest"),
    first_of(
        2,
        [
            (normalised, 20, 20),
            (plain, 12, 3),
            (normalised, 256, 16),
            (Residual, 96, 24),
            (plain, 64, 1),
            (plain, 7, 7),
        ],
    ),
)
def test_no_micro_batch_is_too_small_and_all_make_the_batch(
    build: Build, batch_size: int, smallest: int
) -> None:
    ways = shrinking_plans(build, batch_size, "cpu")
    assert all(micro_batch * accumulation == batch_size for micro_batch, accumulation, _ in ways)
    assert all(accumulation.bit_count() == 1 for _, accumulation, _ in ways)
    assert min(micro_batch for micro_batch, _, _ in ways) == smallest


@examples(max_examples=6, deadline=None)
@given(cap=st.integers(1, 400 * MIB), context=st.integers(0, 100 * MIB))
def test_a_plan_stays_under_the_cap(cap: int, context: int) -> None:
    found = plan(plain, cap, constants=MemoryConstants(context=context))
    if isinstance(found, MemoryPlan):
        assert found.reservation <= cap
        assert found.memory.context == context
    else:
        assert found.smallest_cap > cap


@each_once(build={"wide": WIDE, "plain": plain, "residual": Residual}, device=["cpu", "cuda"])
def test_the_smallest_cap_is_enough_and_less_is_not(build: Build, device: Device) -> None:
    constants = MemoryConstants(context=300 * MIB, workspace=(8 * MIB,), data=(50 * MIB,))
    refusal = refused(build, 301 * MIB, device=device, constants=constants)
    assert fitting(build, refusal.smallest_cap, device=device, constants=constants)
    assert refused(build, refusal.smallest_cap - 5 * MIB, device=device, constants=constants)


def test_a_refusal_names_the_smallest_cap_the_largest_part_and_bf16() -> None:
    wide = partial(plain, 1024)
    refusal = refused(wide, 64 * MIB)
    assert refusal.largest_part == "parameters"
    assert str(refusal) == (
        f"needs {-(-refusal.smallest_cap // MIB)} MiB, the memory cap is 64 MiB; "
        f"the largest part is parameters with {-(-refusal.memory.parameters // MIB)} MiB; "
        f"in bf16 it needs {-(-(refusal.smallest_cap_bf16 or 0) // MIB)} MiB"
    )


def test_bf16_lowers_what_activations_need() -> None:
    refusal = refused(cap=MIB)
    assert refusal.smallest_cap_bf16 is not None
    assert refusal.smallest_cap_bf16 < refusal.smallest_cap
    assert fitting(cap=refusal.smallest_cap_bf16, precision="bf16")
    assert refused(cap=MIB, precision="bf16").smallest_cap_bf16 is None


def test_the_parts_make_the_prediction() -> None:
    constants = MemoryConstants(context=300 * MIB, workspace=(8 * MIB,), data=(50 * MIB,))
    memory = fitting(constants=constants).memory
    assert (memory.context, memory.workspace, memory.data) == (300 * MIB, 8 * MIB, 50 * MIB)
    assert memory.fragmentation > 0
    assert memory.total == sum(memory.parts.values())
    assert memory.reserved == memory.total - memory.context
    assert memory.reserved % (2 * MIB) == 0


def test_on_a_cpu_there_are_no_segments() -> None:
    assert fitting(device="cpu").memory.fragmentation == 0


def test_evaluation_takes_part_but_never_in_more_than_a_micro_batch() -> None:
    def predicted(evaluation_batch: int) -> int:
        constants = MemoryConstants(evaluation_batch=evaluation_batch)
        return fitting(device="cuda", constants=constants).reservation

    assert predicted(0) <= predicted(100) <= predicted(256) == predicted(100_000)


def test_the_batch_of_pixels_is_whole_even_when_it_is_accumulated() -> None:
    def batch(batch_size: int) -> int:
        found = fitting(plain, 24 * MIB, training=settings(batch_size), device="cpu")
        assert found.accumulation > 2
        return found.memory.batch - found.micro_batch * 4 * 768  # without the micro-batch in fp32

    assert batch(1024) == 1024 * (768 + 8)


def test_a_network_that_only_builds_for_real_is_planned_too() -> None:
    def build() -> nn.Module:
        widths = [int(width.item()) for width in torch.linspace(8, 16, 2)]
        return nn.Sequential(nn.Flatten(), nn.Linear(768, widths[0]), nn.Linear(widths[0], CLASSES))

    assert fitting(build).memory.parameters == 4 * (768 * 8 + 8 + 8 * CLASSES + CLASSES)


@pytest.mark.parametrize("optimizer", first_of(1, get_args(Optimizer)))
def test_a_network_is_planned_without_its_memory(optimizer: Optimizer) -> None:
    def build() -> nn.Module:
        return nn.Sequential(nn.Flatten(), nn.Linear(768, 50_000), nn.Linear(50_000, CLASSES))

    assert peak_of(lambda: refused(build, MIB, training=settings(8, optimizer))).with_scratch < MIB


def test_a_module_is_planned_like_what_builds_it() -> None:
    planned = partial(
        plan_memory,
        shape=SHAPE,
        training=settings(64),
        cap=GIB,
        precision="fp32",
        device="cuda",
        constants=MemoryConstants(),
    )
    assert planned(plain()) == planned(plain)


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_after_a_plan_that_was_not_enough_comes_the_next_more_frugal_one(device: Device) -> None:
    plans: list[Levers] = []
    while isinstance(found := plan(SHALLOW, device=device, after=plans[-1] if plans else None), MemoryPlan):
        plans.append(found.levers)
    assert plans == [
        Levers(256 // accumulation, accumulation, checkpointing)
        for checkpointing in (False, True)
        for accumulation in (1, 2, 4, 8, 16)
    ]
    assert found.smallest_cap <= found.cap


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_what_was_measured_corrects_plans_and_refusals(device: Device) -> None:
    context = 300 * MIB
    raw = fitting(device=device, constants=MemoryConstants(context=context))
    constants = MemoryConstants(context=context, factor=1.5)
    corrected = fitting(device=device, constants=constants)
    assert corrected.memory == raw.memory
    assert raw.reservation == raw.memory.total
    assert corrected.reservation == context + -(-3 * raw.memory.reserved // 2)
    below = fitting(cap=corrected.reservation - 1, device=device, constants=constants)
    assert below.reservation < corrected.reservation
    assert below.reservation == context + -(-3 * below.memory.reserved // 2)
    refusal = refused(cap=context, device=device, constants=constants)
    uncorrected = refused(cap=context, device=device, constants=MemoryConstants(context=context))
    assert refusal.smallest_cap - context == pytest.approx(
        1.5 * (uncorrected.smallest_cap - context), abs=4 * MIB
    )
    assert fitting(cap=refusal.smallest_cap, device=device, constants=constants)


@pytest.mark.parametrize("factor", [1.0, 1.15, 4.0])
def test_what_was_measured_before_a_step_is_not_multiplied(factor: float) -> None:
    constants = MemoryConstants(context=300 * MIB, workspace=(8 * MIB,), data=(900 * MIB,), factor=factor)
    found = fitting(constants=constants)
    step = found.memory.reserved - 908 * MIB
    assert found.reservation == 1208 * MIB + math.ceil(factor * step)
    assert constants.limit(found.reservation) == found.memory.reserved


def test_the_limit_under_a_cap_is_the_most_that_keeps_it() -> None:
    constants = MemoryConstants(context=141421294, factor=1.1725)
    limit = 15725821600  # times the factor and divided by it, this is one less
    assert constants.limit(constants.calibrated(limit)) == limit
    assert constants.limit(constants.calibrated(limit) - 1) == limit - 1


def test_on_a_cpu_the_scratch_of_kernels_is_counted_beside_the_tensors() -> None:
    wide = partial(deep, width=256, depth=2)
    memory = fitting(wide, training=settings(4), device="cpu").memory
    assert memory.workspace > 4 * 256 * 256 * 9
    assert memory.total == memory.allocated + memory.workspace
    assert fitting(wide, training=settings(4), device="cuda").memory.workspace == 0
