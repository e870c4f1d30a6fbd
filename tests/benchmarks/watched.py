"""What it costs a search to be watched: the same search with a dashboard that is polled, and without.

    python -m tests.benchmarks.watched --repeats 3

A browser is imitated that has Optuna's dashboard open, which asks every 10 seconds, and our live page, which
asks every 1.5. One worker of one thread on the embedded digits; interleaved, medians. Seconds are those of
the search from its first trial on; those of the dashboard's own process are told apart.

Measured on 2 shared cores of an AMD EPYC at 2.6 GHz, torch 2.13, 8 trials, three repeats, beside much other
work, which makes wall seconds worthless there: watched / unwatched 0.98 (0.96 to 1.06) of 19 CPU seconds; the
dashboard itself took 6, of which 5 to start.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

import psutil

from tests.benchmarks.overhead import Clock

STUDY = "watched"
OPTUNA_EVERY, LIVE_EVERY = 10.0, 1.5
"""Seconds between two questions of the browser."""


def run_search(folder: Path, trials: int) -> None:
    clock = Clock()
    import nas
    from nas.events import Event, WorkerReady

    def watch(event: Event) -> None:
        if isinstance(event, WorkerReady):
            clock.start_training()

    nas.search(
        space="cnn_fc",
        data="digits",
        study=STUDY,
        folder=folder,
        trials=trials,
        epochs=8,
        seed=1,
        sampler="random",
        pruner="none",
        workers=1,
        threads=1,
        device="cpu",
        watch=watch,
    )
    clock.print()


class Browser(threading.Thread):
    """Polls a dashboard as its two pages do."""

    def __init__(self, address: str) -> None:
        super().__init__(daemon=True)
        self.address = address
        self.answers = {OPTUNA_EVERY: 0, LIVE_EVERY: 0}
        self.over = threading.Event()

    def run(self) -> None:
        due = dict.fromkeys(self.answers, 0.0)
        finished = 0
        while not self.over.wait(0.1):
            now = time.monotonic()
            if now >= due[LIVE_EVERY]:
                due[LIVE_EVERY] = now + LIVE_EVERY
                self.ask("/nas/1/live", LIVE_EVERY)
            if now >= due[OPTUNA_EVERY]:
                due[OPTUNA_EVERY] = now + OPTUNA_EVERY
                told = json.loads(self.ask(f"/api/studies/1?after={finished}", OPTUNA_EVERY))
                finished += sum(trial["state"] not in ("Running", "Waiting") for trial in told["trials"])

    def ask(self, path: str, every: float) -> bytes:
        with urllib.request.urlopen(self.address + path) as answer:
            content: bytes = answer.read()
        self.answers[every] += 1
        return content


def start_dashboard(folder: Path) -> tuple[subprocess.Popen[str], str]:
    """Once the study is there; its process and address."""
    command = [
        sys.executable,
        "-m",
        "nas",
        "dashboard",
        "--no-browser",
        "--port",
        "0",
        "--folder",
        str(folder),
    ]
    while True:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        assert process.stdout is not None
        if line := process.stdout.readline():
            return process, line.split(": ", 1)[1].strip().rstrip("/")
        process.wait()
        time.sleep(0.5)


def measure(watched: bool, folder: Path, trials: int) -> dict[str, float]:
    command = [sys.executable, "-m", "tests.benchmarks.watched", "--folder", str(folder)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    search = subprocess.Popen(
        [*command, "--trials", str(trials)], stdout=subprocess.PIPE, text=True, env=environment
    )
    if watched:
        dashboard, address = start_dashboard(folder)
        browser = Browser(address)
        browser.start()
    output, _ = search.communicate()
    if search.returncode:
        sys.exit("the search failed")
    figures: dict[str, float] = json.loads(output.splitlines()[-1])
    if watched:
        browser.over.set()
        browser.join()
        figures["dashboard"] = sum(psutil.Process(dashboard.pid).cpu_times()[:2])
        figures["answers"] = sum(browser.answers.values())
        dashboard.terminate()
        dashboard.communicate()
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--trials", type=int, default=12)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.folder:
        run_search(arguments.folder, arguments.trials)
        return
    results: dict[bool, list[dict[str, float]]] = {False: [], True: []}
    with tempfile.TemporaryDirectory() as temporary:
        for repeat in range(arguments.repeats):
            for watched in (False, True) if repeat % 2 else (True, False):
                folder = Path(temporary, f"{repeat}-{watched}")
                results[watched].append(measure(watched, folder, arguments.trials))
                print("watched  " if watched else "unwatched", results[watched][-1], flush=True)
    for figure in ("cpu", "wall"):
        pairs = zip(results[True], results[False], strict=True)
        ratios = [seen[figure] / unseen[figure] for seen, unseen in pairs]
        ends = f"{min(ratios):.3f} to {max(ratios):.3f}"
        print(f"watched / unwatched, {figure} seconds: {statistics.median(ratios):.3f} ({ends})")


if __name__ == "__main__":
    main()
