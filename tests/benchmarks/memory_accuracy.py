"""How well is training memory predicted, and how fast? Against the training loop itself.

    python -m tests.benchmarks.memory_accuracy --networks 60

Networks are sampled from every shipped search space; three of torchvision's join where it imports. On the
CPU the truth is what PyTorch's profiler sees: the tensors, then the same with scratch memory inside of
kernels. On a GPU it is the account of the caching allocator; then trials run under half of what they took.

On the CPU, torch 2.15, 126 predictions (60 networks with accumulation 1 and 4, torchvision's three at
64x64): the tensors to 0.04 % (median; worst 0.64 %), with scratch memory to 0.04 % (worst 2.5 MiB, 9.2 % of
27.4 MiB).

CPU time on one thread of a busy AMD EPYC 2.6 GHz, torch 2.13, median and worst: 125 and 301 ms for 30 new
networks of cnn_fc at 3x32x32, 0.7 and 1.7 ms for another batch size; to say that a network does not fit, 408
and 1,178 ms for 50 at 3x32x32, 617 and 1,403 ms for 20 at 3x224x224. Nothing was measured on a GPU.
"""

import argparse
import math
import statistics
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

import optuna
import torch
from torch import nn

from nas.engines.limits import is_out_of_memory, limited, release
from nas.engines.warmup import measure_constants
from nas.memory.activation_checkpoints import checkpointed
from nas.memory.allocator import MIB
from nas.memory.calibration import Calibration
from nas.memory.plan import plan_memory
from nas.memory.planned import DoesNotFit, Levers, MemoryPlan
from nas.memory.prediction import Device, MemoryConstants, predict
from nas.memory.program import BatchSizes
from nas.memory.trace import Precision, trace_training
from nas.space import DataInfo, Training
from nas.space.load import load_space, shipped_spaces
from tests.memory.measure import STEPS, blank_images, measured_training, train_a_little

CIFAR10 = DataInfo(
    name="cifar10",
    shape=(3, 32, 32),
    num_classes=10,
    num_train=45_000,
    num_val=5_000,
    augmentations=("shift", "flip", "cutout"),
)
TORCHVISION = "resnet18", "vgg11", "mobilenet_v3_small"
TORCHVISION_SHAPE = 3, 64, 64


@dataclass(frozen=True)
class Case:
    """A network to train."""

    space: str
    build: Callable[[], nn.Module]
    shape: tuple[int, int, int]
    training: Training

    def name(self, accumulation: int) -> str:
        return f"{self.space}, {self.training.optimizer}, accumulation {accumulation}"

    def batches(self, accumulation: int) -> BatchSizes:
        return BatchSizes(self.training.batch_size // accumulation, accumulation, evaluation=1)


@dataclass(frozen=True)
class Result:
    """Bytes of one case."""

    case: str
    predicted: int
    measured: int

    @property
    def error(self) -> float:
        return self.predicted / self.measured - 1

    @property
    def missing(self) -> int:
        return self.measured - self.predicted


def sampled_cases(count: int, batch_size: int) -> Iterator[Case]:
    """Networks of all shipped search spaces, `count` together, with their own optimizers."""
    spaces = shipped_spaces()
    for number, name in enumerate(spaces):
        share = count // len(spaces) + (number < count % len(spaces))
        yield from cases_of(name, CIFAR10, share, batch_size)


def cases_of(name: str, info: DataInfo, count: int, batch_size: int | None = None) -> Iterator[Case]:
    """Random proposals of one search space."""
    space = load_space(name)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    for _ in range(count):
        proposal = space.suggest(study.ask(), info)
        training = replace(proposal.training, batch_size=batch_size or proposal.training.batch_size)
        yield Case(name, partial(proposal.architecture.build, info), info.shape, training)


def torchvision_cases() -> Iterator[Case]:
    """Networks that nobody here wrote."""
    try:
        from torchvision import models
    except (ImportError, RuntimeError) as error:
        print(f"not run: torchvision's networks ({error})")
        return
    training = Training(batch_size=16, optimizer="sgd", learning_rate=0.1)
    for name in TORCHVISION:
        yield Case(name, getattr(models, name), TORCHVISION_SHAPE, training)


def measure_cpu(case: Case, accumulation: int) -> tuple[Result, Result]:
    """(tensors, tensors and scratch memory)"""
    measured = measured_training(case.build(), case.shape, case.training, accumulation=accumulation)
    tensors, with_scratch = (
        trace_training(
            case.build(), case.shape, case.training, accumulate=accumulation > 1, kernels=kernels
        ).peak(case.batches(accumulation))
        for kernels in (None, "cpu")
    )
    name = case.name(accumulation)
    return (
        Result(name, tensors.total, measured.tensors),
        Result(name, with_scratch.total, measured.with_scratch),
    )


def measure_cuda(
    case: Case, accumulation: int, precision: Precision, constants: MemoryConstants
) -> tuple[Result, Result]:
    """(allocated, reserved)"""
    images = blank_images(case.shape, STEPS * case.training.batch_size, "cuda")
    release(images.device)
    torch.cuda.reset_peak_memory_stats()
    data = torch.cuda.memory_allocated() - sum(constants.workspace)
    model = case.build()
    train_a_little(model, images, case.training, accumulation=accumulation, precision=precision)
    measured = torch.cuda.max_memory_allocated(), torch.cuda.max_memory_reserved()
    program = trace_training(
        model,
        case.shape,
        case.training,
        precision=precision,
        accumulate=accumulation > 1,
        kernels="cuda",
    )
    constants = replace(constants, data=(data,), evaluation_batch=1)
    memory = predict(program, case.batches(accumulation), "cuda", constants)
    name = case.name(accumulation)
    predicted = memory.reserved - memory.fragmentation, memory.reserved
    return Result(name, predicted[0], measured[0]), Result(name, predicted[1], measured[1])


def calibrated(results: Sequence[Result], device: str) -> list[Result]:
    """Every prediction as it would have been made after the measurements before it."""
    calibration = Calibration.for_device(device)
    corrected = []
    for result in results:
        corrected.append(replace(result, predicted=round(calibration.factor * result.predicted)))
        calibration.add(result.predicted, result.measured)
    return corrected


def train_capped(case: Case, device: str, constants: MemoryConstants) -> str:
    """Train as planned under half of what the network takes without a cap; recover as the search does."""
    images = blank_images(case.shape, STEPS * case.training.batch_size, device)
    kind: Device = "cuda" if device == "cuda" else "cpu"
    calibration = Calibration.for_device(device)
    plan = partial(
        plan_memory, case.build, case.shape, case.training, precision="fp32", device=kind, cap=2**50
    )
    uncapped = plan(constants=constants)
    assert isinstance(uncapped, MemoryPlan)
    after: Levers | None = None
    while True:
        constants = replace(constants, factor=calibration.factor)
        found = plan(constants=constants, cap=uncapped.reservation // 2, after=after)
        if isinstance(found, DoesNotFit):
            return "out of memory" if after else "does not fit"
        model = checkpointed(case.build()) if found.checkpointing else case.build()
        try:
            with limited(images.device, found.reservation, constants.context):
                train_a_little(model, images, case.training, accumulation=found.accumulation)
            return "recovered" if after else "as planned"
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
        del model
        release(images.device)
        calibration.out_of_memory()
        after = found.levers


def show_capped(count: int, device: str) -> None:
    """How trials end whose cap is half of what they would take."""
    constants = measure_constants(blank_images(CIFAR10.shape, STEPS, device))
    ends = Counter(train_capped(case, device, constants) for case in sampled_cases(count, 256))
    listing = ", ".join(f"{number} {end}" for end, number in ends.most_common())
    print(f"under half of their memory, {device}: {listing} (target: 0 out of memory)")


def time_predictions(count: int) -> None:
    """CPU time of one thread for networks of cnn_fc, from building to bytes on CUDA."""
    new, known = [], []
    for number, case in enumerate(cases_of("cnn_fc", CIFAR10, count + 1, 64)):
        began = time.process_time()
        with torch.device("meta"):
            model = case.build()
        program = trace_training(model, case.shape, case.training)
        predict(program, BatchSizes(64), "cuda", MemoryConstants())
        traced = time.process_time()
        predict(program, BatchSizes(128), "cuda", MemoryConstants())
        if number:  # the first one imports what PyTorch loads late
            new.append(traced - began)
            known.append(time.process_time() - traced)
    show_times("new architecture", new, "target: 300 ms")
    show_times("another batch size", known, "target: 5 ms")


def time_refusals(count: int, side: int) -> None:
    """CPU time of one thread to say that networks of cnn_fc do not fit, whatever they are."""
    info = replace(CIFAR10, shape=(3, side, side))
    times = []
    for number, case in enumerate(cases_of("cnn_fc", info, count + 1)):
        began = time.process_time()
        plan = partial(
            plan_memory, case.build, case.shape, case.training, cap=MIB, precision="fp32", ask_bf16=False
        )
        assert isinstance(plan(device="cuda", constants=MemoryConstants()), DoesNotFit)
        if number:
            times.append(time.process_time() - began)
    show_times(f"does not fit, {side}x{side}", times, "target: well under 1,000 ms")


def show_times(what: str, seconds: Sequence[float], target: str) -> None:
    median, worst = 1000 * statistics.median(seconds), 1000 * max(seconds)
    print(f"{what}: median {median:,.1f} ms, worst {worst:,.1f} ms of CPU time ({target})")


def show(title: str, results: Sequence[Result], target: str = "median 1 %") -> None:
    """Median and worst error."""
    worst = max(results, key=lambda result: abs(result.error))
    largest = max(results, key=lambda result: abs(result.missing))
    outside = sum(abs(result.error) > 0.05 and abs(result.missing) > 4 * MIB for result in results)
    print(f"{title}: {len(results)} predictions")
    errors = sorted(abs(result.error) for result in results)
    high = errors[math.ceil(0.95 * len(errors)) - 1]
    print(f"  median error {statistics.median(errors):.3%}, 95th percentile {high:.3%} (target: {target})")
    print(f"  worst {worst.error:+.2%} of {worst.measured / MIB:.1f} MiB: {worst.case}")
    print(f"  worst {-largest.missing / MIB:+.2f} of {largest.measured / MIB:.1f} MiB: {largest.case}")
    print(f"  off by more than both 5 % and 4 MiB: {outside} (target: 0)")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--networks", type=int, default=60, help="of all search spaces together")
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--accumulation", type=int, nargs="*", default=[1, 4])
    parser.add_argument("--timed", type=int, default=50, help="networks whose prediction is timed")
    parser.add_argument("--capped", type=int, default=100, help="networks trained under a cap on a GPU")
    parser.add_argument("--capped-cpu", type=int, default=0, help="the same on the CPU")
    settings = parser.parse_args()
    torch.set_num_threads(1)
    optuna.logging.set_verbosity(optuna.logging.WARNING)

    if settings.timed:
        time_predictions(settings.timed)
        time_refusals(settings.timed, 32)
        time_refusals(settings.timed, 224)
    cases = list(sampled_cases(settings.networks, settings.batch_size))
    cases += torchvision_cases()
    runs = [(case, accumulation) for case in cases for accumulation in settings.accumulation]
    if runs:
        tensors, with_scratch = zip(*(measure_cpu(*run) for run in runs), strict=True)
        show("allocated, CPU, fp32", tensors)
        show("allocated and scratch memory, CPU, fp32", with_scratch)
    if settings.capped_cpu:
        show_capped(settings.capped_cpu, "cpu")
    if not torch.cuda.is_available():
        print("not run: allocated and reserved on a GPU, fp32 and bf16; trials under caps (there is no GPU)")
        return
    card = torch.cuda.get_device_name()
    constants = measure_constants(blank_images(CIFAR10.shape, STEPS, "cuda"))
    precisions: tuple[Precision, ...] = ("fp32", "bf16")
    for precision in precisions:
        allocated, reserved = zip(*(measure_cuda(*run, precision, constants) for run in runs), strict=True)
        show(f"allocated, {card}, {precision}", allocated)
        show(f"reserved, {card}, {precision}", reserved, "none before calibration")
        target = "median 5 %, 95th percentile 10 %"
        show(f"reserved and calibrated, {card}, {precision}", calibrated(reserved, card), target)
    show_capped(settings.capped, "cuda")


if __name__ == "__main__":
    main()
