"""Which rule ends trials early, and where do further epochs go? Recorded curves are replayed in many orders.

    python -m tests.benchmarks.rungs
    python -m tests.benchmarks.rungs --curves curves.json

A file of curves holds lists of {"name", "acc", "cpu"}: accuracy in [0, 1] after each epoch; seconds of each,
or of one. "random" are proposals as they come, "known_good" such as a search starts with, "longer" trainings
of more epochs. Those beside this file are of `tests.benchmarks.curves.record`.

Proposals come at random: what a sampler would have made of the results cannot be replayed.

What it found, over 40 orders of 121 trainings on CIFAR-10: three standard errors took 34 to 37 % of the
seconds of full training and lost 0.001 on average; halving 28 to 31 % and 0.001 to 0.010; the median 35 to
43 % and 0.003 to 0.005; two standard errors 27 % and 0.005 to 0.007. Among good proposals alone, where a
rule can only do harm, they lost 0.0004, 0.010, 0.009 and 0.004.

A network of 8 filters had 0.509 after 8 epochs; trained anew for 16, 0.570, for 32, 0.608. Going on in
annealed cycles it had 0.553 and 0.586 instead, with a constant rate and averaged weights 0.551 and 0.579.
"""

import argparse
import json
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import Any, NamedTuple, Protocol

import optuna
from optuna.pruners import BasePruner, MedianPruner, SuccessiveHalvingPruner
from optuna.trial import Trial, TrialState

from nas.metrics.base import ACCURACY
from nas.pruners import standard_error
from nas.pruners._optuna import warmup_steps
from tests.benchmarks.spaces import print_table

RECORDED = Path(__file__).parent / "curves"

STARTS = 3
"""Known good proposals that a search begins with."""


class Recorded(NamedTuple):
    """One training."""

    name: str
    accuracies: Sequence[float]
    """After each epoch."""
    seconds: Sequence[float]
    """Of each epoch."""


class Curves:
    """A file of curves."""

    def __init__(self, file: Path) -> None:
        content: dict[str, Any] = json.loads(file.read_text())
        self.about: str = content["about"]
        self.num_val: int = content.get("num_val", 1000)
        found = {
            kind: [
                Recorded(str(row.get("name", number)), row["acc"], _each(row["cpu"], len(row["acc"])))
                for number, row in enumerate(rows)
                if "acc" in row  # else it was too dear to train
            ]
            for kind, rows in content.items()
            if isinstance(rows, list) and kind != "searches"
        }
        self.longer = found.pop("longer", [])
        self.starts = found["known_good"]
        self.random = found["random"]
        self.others = [
            each for kind, rows in found.items() if kind not in ("known_good", "random") for each in rows
        ]
        self.epochs = len(self.random[0].accuracies)

    def orders(self, kind: str, count: int) -> Iterator[list[Recorded]]:
        """Searches of all recorded trials."""
        chance = random.Random(0)
        good = [*self.starts, *self.others]
        for _ in range(count):
            match kind:
                case "starts first":
                    first = chance.sample(self.starts, STARTS)
                    rest = [each for each in [*good, *self.random] if each not in first]
                    yield first + chance.sample(rest, len(rest))
                case "in any order":
                    yield chance.sample([*good, *self.random], len(good) + len(self.random))
                case "random ones alone":
                    yield chance.sample(self.random, len(self.random))
                case "good ones alone":
                    yield chance.sample(good, len(good))


def _each(seconds: float | list[float], epochs: int) -> list[float]:
    return seconds if isinstance(seconds, list) else [seconds] * epochs


class Rule(Protocol):
    """Ends the trials of one search."""

    def ends(self, accuracies: Sequence[float]) -> bool:
        """Whether the running trial should end after these epochs."""

    def over(self, accuracies: Sequence[float], *, finished: bool) -> None:
        """The running trial is over; the next one begins."""


class Never:
    """Ends nothing."""

    def ends(self, accuracies: Sequence[float]) -> bool:
        return False

    def over(self, accuracies: Sequence[float], *, finished: bool) -> None: ...


class Optunas:
    """A pruner of Optuna."""

    def __init__(self, pruner: BasePruner) -> None:
        self._study = optuna.create_study(direction="maximize", pruner=pruner)
        self._trial: Trial | None = None

    def ends(self, accuracies: Sequence[float]) -> bool:
        self._trial = self._trial or self._study.ask()
        self._trial.report(accuracies[-1], step=len(accuracies))
        return self._trial.should_prune()

    def over(self, accuracies: Sequence[float], *, finished: bool) -> None:
        assert self._trial is not None
        if finished:
            self._study.tell(self._trial, accuracies[-1])
        else:
            self._study.tell(self._trial, state=TrialState.PRUNED)
        self._trial = None


class StandardError:
    """Ours; with another margin if that is given."""

    def __init__(self, num_val: int, margin: float = standard_error.MARGIN) -> None:
        self._images, self._margin = standard_error.trusted_images(ACCURACY, [num_val]), margin
        self._finished: list[standard_error.Curve] = []

    def ends(self, accuracies: Sequence[float]) -> bool:
        good = standard_error.good_of(self._finished, self._images)
        found = standard_error.behind(_curve(accuracies), good, self._images, 1, self._margin)
        return found is not None

    def over(self, accuracies: Sequence[float], *, finished: bool) -> None:
        if finished:
            self._finished.append(_curve(accuracies))


def _curve(accuracies: Sequence[float]) -> standard_error.Curve:
    return list(enumerate(accuracies, start=1))


@dataclass
class Search:
    """What one search came to."""

    best: float
    """Of its finished trials."""
    quarter: float
    """The best after a quarter of the seconds that it takes to train everything."""
    epochs: int
    seconds: float


def search(order: Sequence[Recorded], rule: Rule) -> Search:
    """Train one after the other, as far as the rule lets them."""
    quarter = sum(sum(each.seconds) for each in order) / 4
    result = Search(best=0.0, quarter=0.0, epochs=0, seconds=0.0)
    for each in order:
        for epoch, seconds in enumerate(each.seconds, start=1):
            result.epochs += 1
            result.seconds += seconds
            so_far = each.accuracies[:epoch]
            finished = epoch == len(each.seconds)
            if not finished and rule.ends(so_far):
                break
        rule.over(so_far, finished=finished)
        if finished:
            result.best = max(result.best, so_far[-1])
        if result.seconds <= quarter:
            result.quarter = result.best
    return result


def rules(curves: Curves) -> dict[str, Callable[[], Rule]]:
    """Each as a search begins with it."""
    epochs, num_val = curves.epochs, curves.num_val
    warmup = warmup_steps(epochs)
    return {
        "none": Never,
        "median": lambda: Optunas(MedianPruner(n_startup_trials=5, n_warmup_steps=warmup, n_min_trials=3)),
        "halving": lambda: Optunas(
            SuccessiveHalvingPruner(min_resource=max(1, epochs // 9), reduction_factor=3)
        ),
        "2 standard errors": lambda: StandardError(num_val, 2.0),
        "3 standard errors (auto)": lambda: StandardError(num_val),
    }


def compare(curves: Curves, kind: str, count: int) -> Iterator[tuple[str, ...]]:
    """A row for each rule."""
    orders = list(curves.orders(kind, count))
    full = [search(order, Never()) for order in orders]
    for name, rule in rules(curves).items():
        found = [search(order, rule()) for order in orders]
        lost = [all_.best - one.best for all_, one in zip(full, found, strict=True)]
        yield (
            name,
            f"{sum(one.epochs for one in found) / sum(one.epochs for one in full):.0%}",
            f"{sum(one.seconds for one in found) / sum(one.seconds for one in full):.0%}",
            f"{mean(lost):.4f}",
            f"{max(lost):.4f}",
            f"{sum(each > 0 for each in lost) / len(lost):.0%}",
            f"{mean(one.quarter for one in found):.4f}",
        )


def where_epochs_go(curves: Curves) -> Iterator[tuple[str, ...]]:
    """What random proposals after the starts bring, and what longer trainings bring instead."""
    order = [*curves.starts, *random.Random(0).sample(curves.random, len(curves.random))]
    starts, trials = (search(some, StandardError(curves.num_val)) for some in (curves.starts, order))
    found = {
        "the starts (auto)": (starts.seconds, starts.best),
        f"and {len(curves.random)} random proposals": (trials.seconds - starts.seconds, trials.best),
    }
    for what, (seconds, best) in found.items():
        yield what, "", f"{seconds:.0f}", f"{best:.4f}"
    for each in curves.longer:
        yield each.name, f"{len(each.seconds)}", f"{sum(each.seconds):.0f}", f"{each.accuracies[-1]:.4f}"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--curves", type=Path, nargs="+", default=sorted(RECORDED.glob("*.json")))
    parser.add_argument("--orders", type=int, default=50)
    arguments = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    for file in arguments.curves:
        curves = Curves(file)
        print(f"\n## {curves.about}")
        for kind in ("starts first", "in any order", "random ones alone", "good ones alone"):
            print(f"\n{kind.capitalize()}, {arguments.orders} orders:\n")
            head = ("rule", "epochs", "seconds", "lost", "at worst", "lost at all", "at 1/4 of the seconds")
            print_table(head, list(compare(curves, kind, arguments.orders)))
        if curves.longer:
            print("\nWhere further epochs go:\n")
            print_table(("what", "epochs", "seconds", "accuracy"), list(where_epochs_go(curves)))


if __name__ == "__main__":
    main()
