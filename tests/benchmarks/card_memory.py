"""How well is a card's memory predicted? Against torch's own CUDA build, on a driver that has no device.

    python -m tests.benchmarks.card_memory --networks 6 --out runs.jsonl

Needs no card, but torch's CUDA wheel and gcc; without them it says so. The driver and the libraries beside it
are stubs (`tests.stub_driver`): memory is reserved address space, kernels do nothing. Host code, autocast,
autograd and the caching allocator are torch's own, and count what they would on an A100; but the workspaces
of cuDNN are none, so that they are not measured here.

Every network is trained as a worker trains it, with its own optimizer, three steps and an evaluation, in fp32
and bf16, with batches of 32 and 128: proposals of every shipped space, every baseline, and networks of
torchvision at 64x64.

With torch 2.14.1, 144 runs of 36 networks (6 proposals of each space, 8 baselines, 10 of torchvision's):

    asked for    within 0.1 % in 99.3 %, from -0.08 to +0.44 %       (before: 84.7 %, from -16.1 to +1.1 %)
    reserved     exact in 127, within 2 MiB in 137, within 20 MiB in all     (54; 117; 131; worst -122 MiB)

"Before" had one block of both workspaces, and knew of no kernel's scratch, no copy of a layout, no dropout,
norm or autocast as CUDA has them. One run is off in bytes asked for, and by a segment: shufflenet_v2_x1_0 in
fp32 with a batch of 32; why is not known yet.
"""

import argparse
import gc
import json
import statistics
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

import optuna
import torch

from nas.engines.warmup import measure_constants
from nas.errors import NasError
from nas.memory.allocator import MIB
from nas.memory.prediction import predict
from nas.memory.program import BatchSizes
from nas.memory.trace import Precision, trace_training
from nas.space import Training
from nas.space.load import known_baselines, load_baseline, shipped_spaces
from tests.benchmarks.memory_accuracy import CIFAR10, Case, cases_of
from tests.memory.measure import STEPS, blank_images, train_a_little
from tests.stub_driver.build import NotBuilt, run_with_stub

BATCHES = 32, 128
PRECISIONS: tuple[Precision, ...] = ("fp32", "bf16")
FOREIGN = (
    *("resnet18", "resnet50", "vgg11", "alexnet", "mobilenet_v3_small", "densenet121"),
    *("convnext_tiny", "efficientnet_b0", "regnet_y_400mf", "shufflenet_v2_x1_0"),
)
FOREIGN_SHAPE = 3, 64, 64
SEGMENT = 20 * MIB
"""The largest that is shared."""
CLOSE = 0.001


@dataclass(frozen=True)
class Run:
    """One training; bytes at its peak, without the images."""

    network: str
    batch_size: int
    precision: Precision
    requested: int
    reserved: int
    predicted_requested: int
    predicted_reserved: int

    @property
    def error(self) -> float:
        """Of the bytes asked for."""
        return self.predicted_requested / self.requested - 1

    @property
    def segments(self) -> float:
        """By which the bytes reserved differ."""
        return (self.predicted_reserved - self.reserved) / SEGMENT

    def __str__(self) -> str:
        return (
            f"{self.network}, {self.precision}, batch {self.batch_size}: asked for {self.error:+.2%} of "
            f"{self.requested / MIB:.1f} MiB, reserved {(self.predicted_reserved - self.reserved) // MIB:+d} "
            f"of {self.reserved // MIB} MiB"
        )


def cases(of_each_space: int) -> Iterator[Case]:
    """Each with its own optimizer."""
    for name in shipped_spaces():
        for number, case in enumerate(cases_of(name, CIFAR10, of_each_space)):
            yield replace(case, space=f"{name} {number}")
    for name in known_baselines():
        space = load_baseline(name)
        proposal = space.suggest(optuna.trial.FixedTrial({}), CIFAR10)
        build = partial(proposal.architecture.build, CIFAR10)
        yield Case(name, build, CIFAR10.shape, proposal.training)
    from torchvision import models

    for name in FOREIGN:
        training = Training(batch_size=1, optimizer="sgd", learning_rate=0.1)
        yield Case(name, partial(getattr(models, name), num_classes=10), FOREIGN_SHAPE, training)


def measured(case: Case, precision: Precision) -> Run:
    """Train it, and hold its prediction against what torch counted."""
    batch, shape = case.training.batch_size, case.shape
    release()
    images = blank_images(shape, STEPS * batch, "cuda", val=batch)
    constants = measure_constants(images)
    before = torch.cuda.memory_stats()["requested_bytes.all.current"]
    torch.cuda.reset_peak_memory_stats()
    train_a_little(case.build(), images, case.training, precision=precision, epochs=2)
    stats = torch.cuda.memory_stats()
    program = trace_training(case.build(), shape, case.training, precision=precision, kernels="cuda")
    batches = BatchSizes(batch, evaluation=min(batch, constants.evaluation_batch))
    memory = predict(program, batches, "cuda", constants)
    return Run(
        case.space,
        batch,
        precision,
        requested=stats["requested_bytes.all.peak"] - before,
        reserved=stats["reserved_bytes.all.peak"],
        predicted_requested=memory.allocated,
        predicted_reserved=memory.reserved,
    )


def release() -> None:
    """As a process that has just begun."""
    gc.collect()
    torch._C._cuda_clearCublasWorkspaces()
    torch.cuda.synchronize()
    torch.cuda.empty_cache()


def show(runs: Sequence[Run]) -> None:
    close = [abs(run.error) <= CLOSE for run in runs]
    near = [abs(run.segments) <= 1 for run in runs]
    exact = sum(run.segments == 0 for run in runs)
    print(f"{len(runs)} runs on a stubbed driver, torch {torch.__version__}")
    print(f"  asked for: {sum(close) / len(runs):.1%} within 0.1 % (target: 95 %)", spread(runs, "error"))
    print(f"  reserved: {sum(near) / len(runs):.1%} within a segment of 20 MiB (target: 90 %), {exact} exact")
    for run, is_close, is_near in zip(runs, close, near, strict=True):
        if not (is_close and is_near):
            print(f"  {run}")


def spread(runs: Sequence[Run], name: str) -> str:
    values = sorted(getattr(run, name) for run in runs)
    return f"median {statistics.median(values):+.2%}, from {values[0]:+.2%} to {values[-1]:+.2%}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--networks", type=int, default=6, help="of each search space")
    parser.add_argument("--only", help="networks whose name begins so")
    parser.add_argument("--batches", type=int, nargs="*", default=BATCHES)
    parser.add_argument("--out", type=Path, help="a file that takes every run, one a line, as it ends")
    settings = parser.parse_args()
    try:
        run_with_stub()
    except NotBuilt as error:
        print(f"not run: {error}")
        return
    torch.set_num_threads(1)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    runs = []
    for case in cases(settings.networks):
        if settings.only and not case.space.startswith(settings.only):
            continue
        for batch in settings.batches:
            for precision in PRECISIONS:
                training = replace(case.training, batch_size=batch)
                try:
                    runs.append(measured(replace(case, training=training), precision))
                except NasError as error:
                    print(f"{case.space}, {precision}, batch {batch}: {error}")
                    continue
                print(runs[-1], file=sys.stderr, flush=True)
                if settings.out:
                    with settings.out.open("a") as file:
                        file.write(json.dumps(asdict(runs[-1])) + "\n")
    show(runs)


if __name__ == "__main__":
    main()
