"""What the driver concludes about memory: who holds it, and what a worker died of."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import pytest

from nas.driver.live_trial import LiveTrial
from nas.driver.memory_budget import OVERTAKEN, MemoryBudget
from nas.engines.base import cpu_limit
from nas.engines.messages import Died, Ready
from nas.memory.calibration import Calibration
from nas.memory.planned import MemoryPlan
from nas.memory.prediction import MemoryConstants
from nas.memory.program import Memory
from nas.training.epoch import Epoch

GIB = 2**30
RESIDENT = GIB // 2


def account(device: str = "cpu", resident: int = RESIDENT) -> MemoryBudget:
    memory = MemoryBudget(8 * GIB, [device], {device: 8 * GIB}, {})
    constants = MemoryConstants(context=100, workspace=(20,))
    memory.ready(Ready(worker=0, device=device, constants=constants, resident=resident))
    return memory


def running(reservation: int = GIB, worker: int | None = 0) -> LiveTrial:
    plan = MemoryPlan(
        micro_batch=1, accumulation=1, checkpointing=False, reservation=reservation, memory=None
    )
    return cast(LiveTrial, SimpleNamespace(worker=worker, plan=plan, reservation=reservation, overtaken=0))


@pytest.mark.parametrize(
    ("took", "case", "of_memory"),
    [
        (0, {}, False),
        (GIB, {}, False),  # as predicted: it died of something else
        (int(0.8 * cpu_limit(GIB)), {}, False),
        (cpu_limit(GIB), {}, True),
        (2 * GIB, {}, True),
        (2 * GIB, {"device": "cuda:0"}, False),  # its trial lives in another memory
        (2 * GIB, {"resident": 0}, False),  # nobody knows what it had before
    ],
)
def test_a_worker_that_dies_near_its_limit_died_of_memory(
    took: int, case: dict[str, Any], of_memory: bool
) -> None:
    death = Died(worker=0, number=0, reason="signal 9", resident=RESIDENT + took)
    assert account(**case).died_of_memory(running(), death) is of_memory


@pytest.mark.parametrize(("device", "of_memory"), [("cpu", True), ("cuda:0", False)])
def test_a_worker_that_the_kernel_ended_for_lack_of_memory_died_of_it(device: str, of_memory: bool) -> None:
    death = Died(worker=0, number=0, reason="signal 9", out_of_memory=True)
    assert account(device).died_of_memory(running(), death) is of_memory


def test_a_death_of_which_nothing_is_known_is_not_one_of_memory() -> None:
    assert not account().died_of_memory(running(), Died(worker=0, number=0, reason="killed"))
    assert not account().died_of_memory(
        running(worker=None), Died(worker=0, number=0, reason="", resident=9 * GIB)
    )


def test_a_worker_holds_its_reservation_while_it_trains_and_what_is_idle_after() -> None:
    memory = account()
    assert memory.used("cpu") == 120
    assert memory.choose([running()], {0: "cpu"})
    assert memory.used("cpu") == GIB
    memory.free(0)
    assert memory.used("cpu") == 120
    memory.forget(0)
    assert memory.used("cpu") == 0


def test_a_process_that_is_ready_after_its_trial_was_placed_does_not_shrink_the_reservation() -> None:
    memory = account()
    memory.choose([running()], {0: "cpu"})
    memory.ready(Ready(worker=0, device="cpu", constants=MemoryConstants(context=100), resident=RESIDENT))
    assert memory.used("cpu") == GIB


def on_cards(*devices: str) -> MemoryBudget:
    """A worker for each of `devices`, whose budgets are 100 bytes; the first one trains a trial of 70."""
    memory = MemoryBudget(100, devices, dict.fromkeys(devices, 100), {})
    assert memory.choose([running(70)], {0: devices[0]})
    return memory


def test_the_first_trial_that_fits_starts_and_those_before_it_were_overtaken() -> None:
    memory = on_cards("cuda:0", "cuda:0")
    large, small = running(50), running(20)
    assert memory.choose([large, small], {1: "cuda:0"}) == (small, 1)
    assert (large.overtaken, small.overtaken) == (1, 0)


def test_a_trial_that_was_overtaken_often_enough_is_waited_for() -> None:
    memory = on_cards("cuda:0", "cuda:0")
    large = running(50)
    for _ in range(OVERTAKEN):
        assert memory.choose([large, running(20)], {1: "cuda:0"}) is not None
    assert memory.choose([large, running(20)], {1: "cuda:0"}) is None
    memory.free(0)
    assert memory.choose([large, running(20)], {1: "cuda:0"}) == (large, 1)


def test_a_trial_goes_to_the_card_that_has_room() -> None:
    memory = on_cards("cuda:0", "cuda:1", "cuda:0")
    trial = running(50)
    assert memory.choose([trial], {2: "cuda:0", 1: "cuda:1"}) == (trial, 1)


def test_what_an_idle_worker_holds_counts_for_others_and_not_for_itself() -> None:
    memory = MemoryBudget(100, ["cuda:0"] * 2, {"cuda:0": 100}, {})
    for worker in (0, 1):
        memory.ready(Ready(worker=worker, device="cuda:0", constants=MemoryConstants(context=30)))
    assert not memory.choose([running(71)], {0: "cuda:0"})
    assert memory.choose([running(70)], {0: "cuda:0"})
    memory.free(0)
    memory.forget(1)
    assert memory.choose([running(100)], {0: "cuda:0"})


def test_later_trials_are_planned_with_the_largest_context_so_far() -> None:
    memory = MemoryBudget(100, ["cuda:0"] * 2, {"cuda:0": 100}, {})
    for worker in (0, 1):
        memory.ready(Ready(worker=worker, device="cuda:0", constants=MemoryConstants(context=30, data=(5,))))
    for context, largest in ((40, 40), (0, 40), (35, 40)):
        memory.free(0, context=context)
        assert memory.constants is not None
        assert memory.constants.context == largest
        assert memory.held(0) == largest + 5
    assert memory.held(1) == 35


def with_processes(*own: int, budget: int = GIB, device: str = "cpu") -> MemoryBudget:
    """Workers on one device whose processes have these bytes of their own; 0: not started yet."""
    memory = MemoryBudget(GIB, [device] * len(own), {device: budget}, {})
    for worker, size in enumerate(own):
        if size:
            memory.ready(Ready(worker=worker, device=device, constants=MemoryConstants(context=1), own=size))
    return memory


def test_on_a_processor_a_worker_holds_its_process_and_all_that_its_trial_may_take() -> None:
    memory, free = with_processes(300, 0), {0: "cpu", 1: "cpu"}
    assert memory.used("cpu") == 300
    assert memory.choose([running(1000)], free)
    assert memory.used("cpu") == 300 + cpu_limit(1000)
    assert memory.choose([running(2000)], {1: "cpu"})  # a process like the first will be started
    assert memory.used("cpu") == 600 + cpu_limit(1000) + cpu_limit(2000)
    memory.free(0, own=450)  # libraries keep something for good
    assert memory.held(0) == 450
    memory.forget(0)
    assert memory.choose([running(1000)], {0: "cpu"})
    assert memory.held(0) == 300 + cpu_limit(1000)


def test_on_a_card_the_memory_of_processes_counts_for_nothing() -> None:
    memory = with_processes(300, device="cuda:0")
    memory.choose([running(1000)], {0: "cuda:0"})
    assert memory.used("cuda:0") == 1000
    memory.free(0, own=450)
    assert memory.used("cuda:0") == 1
    assert memory.shortage(2 * GIB) is None


def test_a_second_worker_starts_no_trial_that_would_exceed_the_budget() -> None:
    memory = with_processes(300, 0, budget=2 * cpu_limit(1000) + 599)
    assert memory.choose([running(1000)], {0: "cpu", 1: "cpu"})
    assert memory.choose([running(1000)], {1: "cpu"}) is None
    assert memory.shortage(1000) is None


def test_a_trial_that_fits_no_processor_of_its_own_is_told_with_a_budget_that_would_do() -> None:
    shortage = with_processes(300 * 2**20).shortage(800 * 2**20)
    assert shortage
    assert shortage.endswith("all of cpu only 1,024 MiB. Go on with --device-memory 1428MiB or more.")


def test_the_largest_constants_of_all_workers_count() -> None:
    memory = MemoryBudget(GIB, ["cpu"] * 2, {"cpu": GIB}, {})
    assert memory.constants is None
    assert memory.ready(Ready(worker=0, device="cpu", constants=MemoryConstants(context=7, data=(3,))))
    assert not memory.ready(Ready(worker=1, device="cpu", constants=MemoryConstants(context=5, data=(4,))))
    assert memory.constants == MemoryConstants(context=7, data=(4,), factor=1.0)


@pytest.mark.parametrize(
    ("peaks", "factor"),
    [
        ({"peak_reserved": 1_200, "peak_allocated": 1}, 2.0),
        ({"peak_reserved": None, "peak_allocated": 150}, 1.5),
    ],
    ids=["segments", "tensors"],
)
def test_the_ratio_is_of_a_step_alone_and_not_of_what_was_measured_before(
    peaks: dict[str, Any], factor: float
) -> None:
    data = 0 if peaks["peak_reserved"] is None else 900
    memory = Memory(activations=100, workspace=100, data=data, context=7)
    trial = running()
    trial.measured, trial.plan = False, replace(trial.plan, memory=memory)  # type: ignore[type-var]
    learned = account("cuda:0").learn(trial, cast(Epoch, SimpleNamespace(**peaks)))
    assert learned
    assert Calibration.from_json(learned[1]).factor == factor
