"""How well are the seconds of an epoch predicted? Against the training loop itself.

    python -m tests.benchmarks.seconds --proposals 60 --threads 1 --precision fp32

Proposals are drawn at random from every shipped search space, for images of digits, CIFAR-10's and grey ones
of 28x28, in turn; those of more than 150 million multiply-adds an image are left out. Each trains three
epochs of 1,024 images. The truth is the median of the second and third in seconds of the processor, by
thread; seconds on the clock stand beside them. Told are errors before anything was trained, with the pace
alone; and of each proposal after the five, or all, before it.

36 proposals, fp32, one thread of an AMD EPYC at 2.6 GHz without AVX-512, torch 2.14, other work on the
other core: all within a factor of two before any trial, by the pace alone (median error 18 %, 90 % within
47 %); each after all before it 25 % in the median, 90 % within 38 %. The worst are tiny perceptrons, and
residual networks of separable convolutions.
"""

import argparse
import json
import math
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal

import optuna
import torch

from nas.memory.program import BatchSizes
from nas.memory.trace import trace_training
from nas.network.layers import layer_table
from nas.seconds.pace import measure_pace
from nas.seconds.rates import Rates, Sample, reference
from nas.seconds.work import KINDS
from nas.space import AUGMENTATIONS, DataInfo, Proposal
from nas.space.load import Space, load_space, shipped_spaces
from nas.training.epoch import Diverged, Epoch
from nas.training.images import Examples, Images
from nas.training.loop import EVALUATED_AT_ONCE, Trainer

SHAPES = (1, 8, 8), (3, 32, 32), (1, 28, 28)
TRAINED, VALIDATED = 1024, 256
MOST_MULTIPLY_ADDS = 150e6
SETTLED = 5


@dataclass(frozen=True)
class Measured:
    """A proposal that was trained."""

    name: str
    sample: Sample
    clock: float
    """Seconds on the clock."""
    pace: float
    """Taken just before, for fitting constants: a machine that others use too is not of one pace."""


def images_of(shape: tuple[int, int, int]) -> Images:
    """Noise to train on."""
    channels, height, width = shape
    device = torch.device("cpu")

    def noise(count: int) -> Examples:
        pixels = torch.randint(256, (count, height, width, channels), dtype=torch.uint8)
        return Examples(pixels, torch.randint(10, (count,)), device, resident=True)

    info = DataInfo(
        name="noise",
        shape=shape,
        num_classes=10,
        num_train=TRAINED,
        num_val=VALIDATED,
        augmentations=AUGMENTATIONS,
    )
    scale = torch.full((height, width, channels), 1 / 128)
    mean = torch.full((channels,), 128, dtype=torch.uint8)
    return Images(info, device, noise(TRAINED), noise(VALIDATED), scale, -scale * 128, mean)


def proposals(count: int, infos: Sequence[DataInfo], seed: int) -> Iterator[tuple[Space, int, Proposal]]:
    """Random ones of every space and data in turn, with the place of their data."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    spaces = [load_space(name) for name in shipped_spaces()]
    kinds = [
        (space, place, optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=seed)))
        for place in range(len(infos))
        for space in spaces
    ]
    found = 0
    while found < count:
        space, place, study = kinds[found % len(kinds)]
        proposal = space.suggest(study.ask(), infos[place])
        with torch.device("meta"):
            model = space.build(proposal, infos[place])
        if layer_table(model, infos[place].shape).multiply_adds <= MOST_MULTIPLY_ADDS:
            found += 1
            yield space, place, proposal


def measure(
    space: Space, images: Images, proposal: Proposal, precision: Literal["fp32", "bf16"], pace: float
) -> Measured | None:
    """Train a proposal a little; None if it diverges."""
    training = proposal.training
    batch = min(training.batch_size, images.info.num_train)
    training = replace(training, batch_size=batch)
    torch.manual_seed(0)
    model = space.build(proposal, images.info)
    program = trace_training(model, images.info.shape, training, precision=precision)
    evaluation = min(EVALUATED_AT_ONCE, batch)
    work = program.work(BatchSizes(batch, evaluation=evaluation)).epoch(
        steps=TRAINED // batch, accumulation=1, evaluations=math.ceil(VALIDATED / evaluation)
    )
    just_before = measure_pace(torch.device("cpu"), precision)
    trainer = Trainer(model, images, training, epochs=3, precision=precision, seed=0)
    epochs = list[Epoch]()
    try:
        epochs.extend(trainer.run())
    except Diverged:
        return None
    busy = statistics.median(epoch.busy_seconds or 0.0 for epoch in epochs[1:])
    clock = statistics.median(epoch.seconds for epoch in epochs[1:])
    what = f"{space.name} {'x'.join(map(str, images.info.shape))} {training.optimizer} {batch}"
    return Measured(what, Sample(work, busy, pace), clock, just_before)


def errors(rates: Rates, measured: Sequence[Measured]) -> list[float]:
    return [abs(rates.predict(m.sample.work, m.sample.pace) / m.sample.seconds - 1) for m in measured]


def told(name: str, found: Sequence[float]) -> str:
    ordered = sorted(found)
    quantile = ordered[math.ceil(0.9 * len(ordered)) - 1]
    middle = statistics.median(ordered)
    return f"{name:<38} median {middle:6.1%}   90 % {quantile:6.1%}   worst {ordered[-1]:6.1%}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--proposals", type=int, default=60)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--precision", choices=["fp32", "bf16"], default="fp32")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="JSON lines of what was measured")
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    pace = measure_pace(torch.device("cpu"), asked.precision)
    print(f"pace {pace:.2f}: seconds of a small step over those of the reference", flush=True)
    sets = [images_of(shape) for shape in SHAPES]
    measured = list[Measured]()
    for space, place, proposal in proposals(asked.proposals, [each.info for each in sets], asked.seed):
        if found := measure(space, sets[place], proposal, asked.precision, pace):
            measured.append(found)
            predicted = Rates("cpu").predict(found.sample.work, pace)
            truth = f"measured {found.sample.seconds:7.3f} clock {found.clock:7.3f}"
            print(f"{found.name:<34} predicted {predicted:7.3f} {truth}", flush=True)
            if asked.out:
                with asked.out.open("a") as file:
                    print(
                        json.dumps({"name": found.name, **asdict(found.sample), "just_before": found.pace}),
                        file=file,
                    )
    within = sum(error <= 1 for error in errors(Rates("cpu"), measured)) / len(measured)
    print(told("before any trial, by the pace alone", errors(Rates("cpu"), measured)))
    few = Rates("cpu", [m.sample for m in measured[:SETTLED]])
    print(told(f"after the first {SETTLED}", errors(few, measured[SETTLED:])))
    online = [
        errors(Rates("cpu", [m.sample for m in measured[:place]]), measured[place : place + 1])[0]
        for place in range(SETTLED, len(measured))
    ]
    print(told("each after all before it", online))
    fitted, known = Rates("cpu", [m.sample for m in measured]), reference("cpu")
    print(f"predicted within a factor of two before any: {within:.0%}")
    for kind in KINDS:
        print(f"{kind:<20} {fitted.predict({kind: 1.0}, 1.0) / known[kind]:.2f} of the reference")


if __name__ == "__main__":
    main()
