"""How well is training memory predicted, and how fast? Against the training loop itself.

    python -m tests.benchmarks.memory_accuracy --networks 12

Networks are sampled from every shipped search space; three of torchvision's join where it imports. On the
CPU the truth is what PyTorch's profiler sees: the tensors, which are predicted, then the same with
scratch memory inside of kernels, which is not. On a GPU it is the account of the caching allocator.
"""

import argparse
import gc
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

import optuna
import torch
from torch import nn

from nas.memory.allocator import MIB
from nas.memory.prediction import MemoryConstants, predict
from nas.memory.program import BatchSizes
from nas.memory.trace import Precision, trace_training
from nas.plugins import load_space, shipped_spaces
from nas.space import DataInfo, Training
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
    """`count` networks of each shipped search space, with their own optimizers."""
    for name in shipped_spaces():
        space = load_space(name)
        study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
        for _ in range(count):
            proposal = space.suggest(study.ask(), CIFAR10)
            training = replace(proposal.training, batch_size=batch_size)
            yield Case(name, partial(proposal.architecture.build, CIFAR10), CIFAR10.shape, training)


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
    program = trace_training(case.build(), case.shape, case.training, accumulate=accumulation > 1)
    predicted = program.peak(case.batches(accumulation)).allocated
    name = case.name(accumulation)
    return Result(name, predicted, measured.tensors), Result(name, predicted, measured.with_scratch)


def measure_cuda(case: Case, accumulation: int, precision: Precision) -> tuple[Result, Result]:
    """(allocated, reserved)"""
    images = blank_images(case.shape, STEPS * case.training.batch_size, "cuda")
    gc.collect()
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    constants = MemoryConstants(workspace=torch.cuda.memory_allocated(), evaluation_batch=1)
    model = case.build()
    train_a_little(model, images, case.training, accumulation=accumulation, precision=precision)
    measured = torch.cuda.max_memory_allocated(), torch.cuda.max_memory_reserved()
    program = trace_training(
        model, case.shape, case.training, precision=precision, accumulate=accumulation > 1
    )
    memory = predict(program, case.batches(accumulation), "cuda", constants)
    name = case.name(accumulation)
    return (
        Result(name, memory.allocated + memory.workspace, measured[0]),
        Result(name, memory.reserved, measured[1]),
    )


def warm_up_cuda() -> None:
    """Let cuBLAS take its workspace, which the caching allocator then counts for good."""
    for dtype in (torch.float32, torch.bfloat16):
        matrix = torch.ones(64, 64, device="cuda", dtype=dtype)
        matrix @ matrix


def time_predictions(count: int) -> None:
    """CPU time of one thread for networks of cnn_fc, from building to bytes on CUDA."""
    new, known = [], []
    for number, case in enumerate(sampled_cases(count + 1, 64)):
        if case.space != "cnn_fc":
            continue
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
    for what, times, target in (("new architecture", new, 300), ("another batch size", known, 5)):
        median, worst = 1000 * statistics.median(times), 1000 * max(times)
        print(f"{what}: median {median:.1f} ms, worst {worst:.1f} ms of CPU time (target: {target} ms)")


def show(title: str, results: Sequence[Result]) -> None:
    """Median and worst error."""
    worst = max(results, key=lambda result: abs(result.error))
    largest = max(results, key=lambda result: abs(result.missing))
    outside = sum(abs(result.error) > 0.05 and abs(result.missing) > 4 * MIB for result in results)
    print(f"{title}: {len(results)} predictions")
    print(f"  median error {statistics.median(abs(result.error) for result in results):.3%} (target: 1 %)")
    print(f"  worst {worst.error:+.2%} of {worst.measured / MIB:.1f} MiB: {worst.case}")
    print(f"  worst {-largest.missing / MIB:+.2f} of {largest.measured / MIB:.1f} MiB: {largest.case}")
    print(f"  off by more than both 5 % and 4 MiB: {outside} (target: 0)")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--networks", type=int, default=12, help="sampled from each search space")
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--accumulation", type=int, nargs="*", default=[1, 4])
    settings = parser.parse_args()
    torch.set_num_threads(1)
    optuna.logging.set_verbosity(optuna.logging.WARNING)

    time_predictions(settings.networks)
    cases = [*sampled_cases(settings.networks, settings.batch_size), *torchvision_cases()]
    runs = [(case, accumulation) for case in cases for accumulation in settings.accumulation]
    tensors, with_scratch = zip(*(measure_cpu(*run) for run in runs), strict=True)
    show("allocated, CPU, fp32", tensors)
    show("allocated and scratch memory, CPU, fp32", with_scratch)
    if not torch.cuda.is_available():
        print("not run: allocated and reserved on a GPU, fp32 and bf16 (there is none)")
        return
    warm_up_cuda()
    precisions: tuple[Precision, ...] = ("fp32", "bf16")
    for precision in precisions:
        allocated, reserved = zip(*(measure_cuda(*run, precision) for run in runs), strict=True)
        show(f"allocated, {torch.cuda.get_device_name()}, {precision}", allocated)
        show(f"reserved, {torch.cuda.get_device_name()}, {precision}", reserved)


if __name__ == "__main__":
    main()
