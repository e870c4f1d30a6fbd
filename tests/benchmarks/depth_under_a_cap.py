"""Does a search under a tight memory cap still propose deep networks?

    python -m tests.benchmarks.depth_under_a_cap

The pain of optuna#2969: a sampler that never hears why proposals fail goes on proposing them, or flees to
the smallest networks. Here the real driver, TPE sampler and planner search `cnn_fc` under a cap that 5 % of
random proposals meet. Workers only pretend: the accuracy of a network grows with its convolutions and
parameters, so that the sampler is drawn towards what does not fit.

Measured with `--random 160 --trials 30`, one seed, planning for a CPU: under 1.53 MiB, which 5 % of random
proposals meet, all 30 trials were trained after 25 that did not fit. They have 9.3 convolutions on average,
9.5 without a cap, random proposals within the cap 5.4; the deepest choice, twelve, makes 53 % of them, 47 %
without a cap.
"""

import argparse
import math
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

import optuna
import torch
from optuna.trial import FixedTrial

from nas.driver.driver import Driver
from nas.driver.memory_budget import MemoryBudget
from nas.engines.messages import Ended, Message, Task
from nas.engines.planner import Planner
from nas.memory.allocator import MIB
from nas.memory.plan import plan_memory
from nas.memory.planned import DoesNotFit
from nas.memory.prediction import MemoryConstants
from nas.recipe import Recipe
from nas.space.load import Space, load_space
from nas.space.parameters import smallest
from nas.study.database import make_folder, open_database, storage_url
from nas.study.outcome import Outcome
from nas.study.records import TrialRecord
from nas.study.writer import StudyWriter
from tests.benchmarks.memory_accuracy import CIFAR10
from tests.scripted import ScriptedEngine, epoch

UNCAPPED = 2**50
Depth = tuple[int, int]
"""Stages, and convolutions in each."""


class PretendingEngine(ScriptedEngine):
    """One worker whose trials end at once, and a planner in a thread of its own."""

    def __init__(self, script: Callable[[Task], Iterator[Message]]) -> None:
        super().__init__(script)
        self._answers: SimpleQueue[Message] = SimpleQueue()

    def post(self, message: Message) -> None:
        self._answers.put(message)

    def messages(self, timeout: float) -> list[Message]:
        said = super().messages(timeout)
        try:
            return said or [self._answers.get(timeout=timeout)]
        except Empty:
            return []


def made_up_accuracy(space: Space, params: dict[str, Any]) -> float:
    """In [0, 1]: half of it for up to 12 convolutions, half for up to 10 million parameters."""
    proposal = space.suggest(FixedTrial(params), CIFAR10)
    with torch.device("meta"):
        network = space.build(proposal, CIFAR10)
    parameters = sum(parameter.numel() for parameter in network.parameters())
    stages, convs = depth_of(params)
    return 0.5 * stages * convs / 12 + 0.5 * min(1.0, math.log10(parameters) / 7)


def depth_of(params: dict[str, Any]) -> Depth:
    return params["conv_stages"], params["convs_per_stage"]


def random_needs(space: Space, count: int) -> list[tuple[Depth, int]]:
    """Depth of random proposals, and the smallest cap in bytes that each would train under."""
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    needs = []
    for _ in range(count):
        trial = study.ask()
        proposal = space.suggest(trial, CIFAR10)
        with torch.device("meta"):
            network = space.build(proposal, CIFAR10)
        refusal = plan_memory(
            network,
            CIFAR10.shape,
            proposal.training,
            cap=1,
            precision="fp32",
            device="cpu",
            constants=MemoryConstants(),
            ask_bf16=False,
        )
        assert isinstance(refusal, DoesNotFit)
        needs.append((depth_of(trial.params), refusal.smallest_cap))
    return needs


def search(space: Space, trials: int, cap: int, seed: int) -> list[TrialRecord]:
    """Search with everything real but the workers."""

    def train(task: Task) -> Iterator[Message]:
        yield epoch(task.number, 1, made_up_accuracy(space, task.params))
        yield Ended(number=task.number, how="completed")

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_folder(folder / "study")
        recipe = Recipe.load(
            space=space.name, study="study", trials=trials, epochs=1, seed=seed, pruner="none", threads=1
        )
        store = StudyWriter.create(
            open_database(storage_url(None, folder), create=True),
            "study",
            folder,
            recipe,
            space.version,
            {},
            memory_cap=cap,
            starts=[smallest(space, CIFAR10)],
        )
        store.begin()
        engine = PretendingEngine(train)
        planner = Planner(space, CIFAR10, precision="fp32", device="cpu", memory_cap=cap, post=engine.post)
        memory = MemoryBudget(cap, ["cpu"], {"cpu": cap}, {})
        for _ in Driver(store, space, CIFAR10, engine, planner, memory).run():
            pass
        planner.close()
        return store.trials()


def show_outcomes(title: str, records: Sequence[TrialRecord]) -> None:
    """What became of all proposals, and how the share of those that fit changed with time."""
    counts = Counter(record.outcome for record in records)
    print(f"{title}: " + ", ".join(f"{count} {outcome.value}" for outcome, count in counts.most_common()))
    quarters = [records[len(records) * n // 4 : len(records) * (n + 1) // 4] for n in range(4)]
    shares = (
        sum(record.outcome is Outcome.COMPLETED for record in quarter) / max(1, len(quarter))
        for quarter in quarters
    )
    print("  trained, by quarter of the proposals: " + ", ".join(f"{share:.0%}" for share in shares))


def show_depths(columns: dict[str, Counter[Depth]]) -> None:
    """Shares of each number of stages and of convolutions per stage."""
    print(f"{'stages x convolutions':<22}" + "".join(f"{title:>24}" for title in columns))
    for depth in sorted(set().union(*columns.values()), key=lambda depth: (depth[0] * depth[1], depth)):
        shares = (counts[depth] / counts.total() if counts else 0.0 for counts in columns.values())
        print(
            f"{depth[0]} x {depth[1]} = {depth[0] * depth[1]:<14}"
            + "".join(f"{share:>24.0%}" for share in shares)
        )
    means = (
        sum(stages * convs * count for (stages, convs), count in counts.items()) / max(1, counts.total())
        for counts in columns.values()
    )
    print(f"{'convolutions, mean':<22}" + "".join(f"{mean:>24.1f}" for mean in means))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--random", type=int, default=300, help="proposals that the cap is found with")
    parser.add_argument("--share", type=float, default=0.05, help="of them that meet the cap")
    parser.add_argument("--trials", type=int, default=40, help="of each search")
    parser.add_argument("--seeds", type=int, nargs="*", default=[0], help="one pair of searches each")
    settings = parser.parse_args()
    torch.set_num_threads(1)
    optuna.logging.set_verbosity(optuna.logging.WARNING)

    space = load_space("cnn_fc")
    needs = random_needs(space, settings.random)
    cap = sorted(need for _, need in needs)[max(0, round(settings.share * len(needs)) - 1)]
    feasible = Counter(depth for depth, need in needs if need <= cap)
    share = feasible.total() / len(needs)
    print(f"memory cap {cap / MIB:.2f} MiB: {share:.1%} of {len(needs)} random proposals meet it")
    trained: dict[str, Counter[Depth]] = {"capped": Counter(), "uncapped": Counter()}
    for seed in settings.seeds:
        for title, bound in (("capped", cap), ("uncapped", UNCAPPED)):
            began = time.process_time()
            records = search(space, settings.trials, bound, seed)
            show_outcomes(f"{title}, seed {seed}, {time.process_time() - began:.0f} s of CPU time", records)
            done = [record for record in records if record.outcome is Outcome.COMPLETED]
            assert len(done) == settings.trials
            assert not any(record.outcome is Outcome.FAILED for record in records)
            trained[title].update(depth_of(record.params) for record in done)
    show_depths(
        trained | {"random, within the cap": feasible, "random": Counter(depth for depth, _ in needs)}
    )


if __name__ == "__main__":
    main()
