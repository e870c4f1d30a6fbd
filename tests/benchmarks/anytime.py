"""What has a search found after so many CPU seconds? Beside the usual script, and others.

    NAS_CIFAR10=... python -m tests.benchmarks.anytime --marks 60 300 --seeds 3 --results anytime.jsonl

Each search is a process tree of its own with one worker of one thread, ended when it has taken the CPU
seconds of the last mark. Searches take turns, seed by seed. Told are best validation accuracies of completed
trials at each mark; and since such a best is a maximum, what that proposal reaches when it is trained anew
with other seeds, on images that no search saw. What is in the results already is not run again.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import mean
from typing import Any

import optuna
import psutil
import torch
from optuna.trial import FixedTrial

import nas
from nas.datasets import open_data
from nas.events import Event, SearchStarted, TrialEnded
from nas.space.load import known_baselines, load_space
from nas.study.outcome import Outcome
from nas.training.epoch import Diverged
from nas.training.images import Images
from nas.training.loop import Trainer
from tests.benchmarks import usual_script
from tests.benchmarks.spaces import print_table

BARE = """\
\"\"\"`{space}` without its starts.\"\"\"

from search_spaces.{space} import suggest  # noqa: F401
"""

SEARCHES: Mapping[str, Mapping[str, Any]] = {
    "cnn_fc": {"space": "cnn_fc"},
    "residual": {"space": "residual"},
    "cnn_fc without starts": {"bare": "cnn_fc"},
    "cnn_fc at random, with starts": {"space": "cnn_fc", "sampler": "random"},
    "cnn_fc at random": {"bare": "cnn_fc", "sampler": "random", "pruner": "none"},
}
"""Ours, by what is asked for."""

SCRIPT = "usual script"
SCRIPT_OF_OURS = "usual script, our starts and ranges"
"""Optuna's defaults over our space, with its starts enqueued: knowledge without our machinery."""

EVERYTHING = 1_000_000
"""Trials."""


@dataclass(frozen=True)
class Completed:
    """A completed trial."""

    cpu: float
    """CPU seconds of the whole process tree until then."""
    value: float
    """Validation accuracy in [0, 1]."""
    params: dict[str, Any]


# in the process of a search --------------------------------------------------------------------------------


def cpu_seconds() -> float:
    """User and system time of this process and of all that came of it."""
    me = psutil.Process()
    mine = me.cpu_times()
    total = mine.user + mine.system + mine.children_user + mine.children_system
    for child in me.children(recursive=True):
        try:
            times = child.cpu_times()
        except psutil.NoSuchProcess:
            continue
        total += times.user + times.system + times.children_user + times.children_system
    return float(total)


def tell(value: float, params: Mapping[str, Any]) -> None:
    print(json.dumps(asdict(Completed(cpu_seconds(), value, dict(params)))), flush=True)


def search(name: str, data: Path, seed: int, epochs: int) -> None:
    """Run one search without end, and print each completed trial as a line of JSON."""
    torch.set_num_threads(1)
    if name in (SCRIPT, SCRIPT_OF_OURS):
        images = Images.load(open_data(str(data)), torch.device("cpu"))
        if name == SCRIPT_OF_OURS:
            search_our_space(images, seed, epochs)
        else:
            usual_script.search(pixels(images, "train"), pixels(images, "val"), epochs, seed, tell)
        return
    asked = dict(SEARCHES[name])
    folder = Path(tempfile.mkdtemp(dir=data.parent))
    if bare := asked.pop("bare", None):
        (folder / "bare.py").write_text(BARE.format(space=bare))
        asked["space"] = str(folder / "bare.py")
    study = list[str]()

    def watch(event: Event) -> None:
        if isinstance(event, SearchStarted):
            study.append(event.study)
        if isinstance(event, TrialEnded) and event.outcome is Outcome.COMPLETED and event.value is not None:
            trial = nas.load_study(study[0], folder=folder, space=asked["space"]).trials[event.number]
            tell(event.value, trial.record.params)

    nas.search(
        **asked,
        watch=watch,
        data=str(data),
        folder=folder,
        seed=seed,
        trials=EVERYTHING,
        epochs=epochs,
        workers=1,
        threads=1,
        device="cpu",
    )


def search_our_space(images: Images, seed: int, epochs: int) -> None:
    space = load_space("cnn_fc")

    def objective(trial: optuna.Trial) -> float:
        proposal, value = space.suggest(trial, images.info), 0.0
        model = space.build(proposal, images.info, trial.number)
        trainer = Trainer(
            model, images, proposal.training, epochs=epochs, precision="fp32", seed=trial.number
        )
        try:
            for epoch in trainer.run():
                value = epoch.val_accuracy
                trial.report(value, epoch.number)
                if epoch.number < epochs and trial.should_prune():
                    raise optuna.TrialPruned
        except Diverged as error:
            raise optuna.TrialPruned from error
        tell(value, trial.params)
        return value

    study = optuna.create_study(
        direction="maximize",
        sampler=optuna.samplers.TPESampler(seed=seed),
        pruner=optuna.pruners.MedianPruner(),
    )
    for start in space.starts(images.info) or ():
        study.enqueue_trial(start)
    study.optimize(objective)


# from outside ----------------------------------------------------------------------------------------------


def run(name: str, data: Path, seed: int, epochs: int, seconds: float) -> list[Completed]:
    """One search until it has taken so many CPU seconds."""
    command = [sys.executable, "-m", "tests.benchmarks.anytime", "--search", name]
    command += ["--data", str(data), "--seed", str(seed), "--epochs", str(epochs)]
    with tempfile.TemporaryFile("w+") as said, tempfile.TemporaryFile("w+") as trouble:
        process = subprocess.Popen(command, stdout=said, stderr=trouble)
        watched = psutil.Process(process.pid)
        while process.poll() is None and tree_seconds(watched) < seconds:
            time.sleep(0.2)
        ended = process.poll()
        for each in [*watched.children(recursive=True), watched] if ended is None else []:
            each.kill()
        process.wait()
        said.seek(0)
        trouble.seek(0)
        if ended is not None:
            raise SystemExit(f"{name} ended by itself:\n{trouble.read()[-2000:]}")
        return [
            Completed(**json.loads(line)) for line in said if line.startswith("{") and line.endswith("}\n")
        ]


def tree_seconds(process: psutil.Process) -> float:
    total = 0.0
    for each in [process, *process.children(recursive=True)]:
        try:
            times = each.cpu_times()
        except psutil.NoSuchProcess:
            continue
        total += times.user + times.system + times.children_user + times.children_system
    return total


def best_at(found: Sequence[Completed], mark: float) -> Completed | None:
    return max((each for each in found if each.cpu <= mark), key=lambda each: each.value, default=None)


def time_to(found: Sequence[Completed], value: float) -> float | None:
    return min((each.cpu for each in found if each.value >= value), default=None)


def pixels(images: Images, split: str) -> usual_script.Pixels:
    """All images of a split as a script holds them."""
    examples = getattr(images, split)
    return examples.images.permute(0, 3, 1, 2).float() / 255, examples.labels


def again(name: str, params: Mapping[str, Any], images: Images, epochs: int, seed: int) -> float:
    """Train what was found anew; judged on images that no search saw."""
    torch.manual_seed(seed)
    if name == SCRIPT:
        data, judged = pixels(images, "train"), pixels(images, "val")
        return usual_script.train(FixedTrial(dict(params)), data, judged, epochs, lambda epoch, value: None)
    asked = SEARCHES.get(name, {"space": "cnn_fc"})
    space = load_space(asked.get("space") or asked["bare"])
    proposal = space.suggest(FixedTrial(dict(params)), images.info)
    return trained(space.build(proposal, images.info, seed), images, proposal.training, epochs, seed)


def trained(model: Any, images: Images, training: Any, epochs: int, seed: int) -> float:
    accuracy = 0.0
    try:
        for epoch in Trainer(model, images, training, epochs=epochs, precision="fp32", seed=seed).run():
            accuracy = epoch.val_accuracy
    except Diverged:
        return 0.0
    return accuracy


def baselines(images: Images, epochs: int) -> Iterator[tuple[str, float, float]]:
    """Name, accuracy on images that no search saw, and CPU seconds: once, and with twice the epochs."""
    for name in known_baselines():
        for times in (1, 2):
            space = load_space(name)
            proposal, begun = space.suggest(FixedTrial({}), images.info), time.process_time()
            model = space.build(proposal, images.info, 0)
            accuracy = trained(model, images, proposal.training, times * epochs, 0)
            yield f"{name}, {times * epochs} epochs", accuracy, time.process_time() - begun


def write_sets(cifar10: Path, folder: Path, num_train: int, num_val: int) -> tuple[Path, Path]:
    """CIFAR-10 with two validation splits: the one that searches see, and the one that judges."""
    sets = folder / "seen", folder / "judged"
    for label in sorted(path.name for path in (cifar10 / "train").iterdir()):
        files = sorted((cifar10 / "train" / label).iterdir())
        train, rest = files[: num_train // 10], files[num_train // 10 :]
        for number, place in enumerate(sets):
            val = rest[number * num_val // 10 :][: num_val // 10]
            test = sorted((cifar10 / "test" / label).iterdir())[:10]
            for split, some in {"train": train, "val": val, "test": test}.items():
                (place / split / label).mkdir(parents=True)
                for file in some:
                    shutil.copy(file, place / split / label)
    return sets


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    names = [*SEARCHES, SCRIPT, SCRIPT_OF_OURS]
    parser.add_argument("--searches", nargs="+", choices=names, default=["cnn_fc", SCRIPT], metavar="NAME")
    parser.add_argument("--marks", type=float, nargs="+", default=[60, 300], help="CPU seconds")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--train", type=int, default=10_000, help="images")
    parser.add_argument("--val", type=int, default=2_000, help="images, and as many to judge")
    parser.add_argument("--again", type=int, default=3, help="trainings of what was found")
    parser.add_argument("--baselines", action="store_true", help="train these too")
    parser.add_argument("--results", type=Path, default=Path("anytime.jsonl"))
    for hidden in ("--search", "--data", "--seed"):
        parser.add_argument(hidden, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.search:
        search(asked.search, Path(asked.data), int(asked.seed), asked.epochs)
        return
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        cifar10 = Path(os.environ["NAS_CIFAR10"])
        seen, judged = write_sets(cifar10, Path(folder), asked.train, asked.val)
        open_data(str(seen))  # decoded before any clock runs
        results = Results(asked.results)
        for seed in range(asked.seeds):
            for name in asked.searches:
                results.run(name, seen, seed, asked.epochs, max(asked.marks))
        show(results, Images.load(open_data(str(judged)), torch.device("cpu")), asked)


class Results:
    """Searches by name and seed, kept in a file of JSON lines."""

    def __init__(self, file: Path) -> None:
        self._file = file
        lines = file.read_text().splitlines() if file.exists() else []
        self.found: dict[tuple[str, int], list[Completed]] = {}
        for row in map(json.loads, lines):
            self.found[row["name"], row["seed"]] = [Completed(**each) for each in row["completed"]]

    def run(self, name: str, data: Path, seed: int, epochs: int, seconds: float) -> None:
        if (name, seed) in self.found:
            return
        found = self.found[name, seed] = run(name, data, seed, epochs, seconds)
        row = {"name": name, "seed": seed, "completed": [asdict(each) for each in found]}
        with self._file.open("a") as file:
            print(json.dumps(row), file=file)
        best = best_at(found, seconds)
        print(
            f"{name}, seed {seed}: {len(found)} completed, best {best.value if best else 0:.4f}", flush=True
        )


def show(results: Results, judging: Images, asked: argparse.Namespace) -> None:
    """Tables: best at each mark, seen and judged; and the time to what the usual script has in the end."""
    rows = []
    for name in asked.searches:
        cells = [name]
        for mark in sorted(asked.marks):
            best = [best_at(results.found[name, seed], mark) for seed in range(asked.seeds)]
            values = [each.value if each else 0.0 for each in best]
            judged = [
                again(name, each.params, judging, asked.epochs, 1000 + time)
                for each in best
                if each
                for time in range(asked.again)
            ]
            cells.append(f"{mean(values):.4f} ({min(values):.3f} to {max(values):.3f})")
            cells.append(f"{mean(judged):.4f}" if judged else "-")
        rows.append(cells)
    marks = [f"{what} {mark:g} s" for mark in sorted(asked.marks) for what in ("best at", "judged,")]
    print()
    print_table(("search", *marks), rows)
    if SCRIPT in asked.searches:
        rows = []
        for name in asked.searches:
            times = []
            for seed in range(asked.seeds):
                goal = best_at(results.found[SCRIPT, seed], max(asked.marks))
                times.append(time_to(results.found[name, seed], goal.value) if goal else None)
            rows.append([name, *("-" if each is None else f"{each:.0f}" for each in times)])
        print(f"\nCPU seconds to the best of the usual script after {max(asked.marks):g} s, by seed\n")
        print_table(("search", *map(str, range(asked.seeds))), rows)
    if asked.baselines:
        print()
        print_table(
            ("baseline", "judged", "CPU seconds"),
            [
                (name, f"{value:.4f}", f"{taken:.0f}")
                for name, value, taken in baselines(judging, asked.epochs)
            ],
        )


if __name__ == "__main__":
    main()
