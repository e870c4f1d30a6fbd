"""One run of a search: its baselines first, then the search itself, with everything that a driver needs."""

from __future__ import annotations

import math
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict

from nas.driver.advice import of_imbalance
from nas.driver.driver import Driver
from nas.driver.memory_budget import MemoryBudget
from nas.driver.prepare import Prepared, companions
from nas.engines.base import make_engine
from nas.engines.messages import Setup
from nas.engines.planner import Planner
from nas.errors import SearchFailed
from nas.events import (
    EpochTrained,
    Forecast,
    ImagesSeen,
    Notice,
    OfBaseline,
    SearchEnded,
    SearchStarted,
    TrialEnded,
    TrialStarted,
    Watch,
)
from nas.loggers.base import logged
from nas.metrics.base import metric_title
from nas.study.outcome import Outcome
from nas.study.records import best_of, counts_of, curve_of


def run_search(run: Prepared, watch: Watch) -> None:
    """Train what a run has left to train, and tell `watch` of it.

    The time limit is that of the run: baselines take of it first, and one that it cuts short goes on with the
    next run, as trials do. The loggers of the recipe are told the same as `watch`.

    Raises:
        NasError: whatever the user can mend.
    """
    with logged(run.store.recipe.log, run.store.folder, watch) as tell:
        _run(run, tell)


def _run(run: Prepared, watch: Watch) -> None:
    deadline = time.monotonic() + (run.store.recipe.time_limit or math.inf)
    run.store.run_begins(run.resources.devices, run.resources.budgets)
    watch(started(run))
    if run.resources.note:
        watch(Notice(text=run.resources.note))
    if all(record.outcome is Outcome.WAITING for record in run.store.trials()):  # else it is too late
        labels, classes = run.data.train.labels, run.data.classes
        if advice := of_imbalance(run.store.recipe, labels, classes):
            watch(Notice(text=advice))
    run.store.storage.wait_out(lambda text: watch(Notice(text=text)))
    for companion in companions(run):
        if not _train_baseline(companion, watch, deadline):
            run.store.run_ends("stopped")
            watch(SearchEnded(why="stopped"))
            return
    with driver_of(run) as driver:
        for event in driver.run(deadline):
            if isinstance(event, Forecast):
                run.store.run_expects(asdict(event))
            if isinstance(event, SearchEnded):
                run.store.run_ends(event.why)
            watch(event)


def _train_baseline(run: Prepared, watch: Watch, deadline: float) -> bool:
    """Its result is a notice too. Returns whether the search may go on."""
    name, metric = run.space.name, metric_title(run.store.recipe.metric)
    try:
        with driver_of(run, listed=True) as driver:
            for event in driver.run(deadline):
                if isinstance(event, TrialStarted | ImagesSeen | EpochTrained | TrialEnded):
                    watch(OfBaseline(name=name, event=event))
                match event:
                    case TrialEnded(value=float() as value):
                        watch(Notice(text=f"Baseline {name}: validation {metric} {value:.4f}"))
                    case TrialEnded(outcome=outcome, reason=reason):
                        watch(Notice(text=f"Baseline {name}: {outcome.in_words}, {reason}"))
                    case SearchEnded(why=why):
                        return why != "stopped"
    except SearchFailed as error:  # the search itself may do better
        watch(Notice(text=f"Baseline {name}: {error}"))
    return True


def started(run: Prepared) -> SearchStarted:
    """The first event of a run."""
    records = run.store.trials()
    best = best_of(records)
    return SearchStarted(
        study=run.store.name,
        recipe=run.store.recipe,
        data=run.store.data,
        device=", ".join(dict.fromkeys(run.resources.devices)),
        workers=run.resources.workers,
        counts=counts_of(records),
        best=(best.number, best.value) if best and best.value is not None else None,
        curve=curve_of(records),
        memory_cap=run.resources.memory_cap,
        budgets=dict(run.resources.budgets),
    )


@contextmanager
def driver_of(
    run: Prepared, *, listed: bool = False, with_val: bool = False, compile: bool = False
) -> Iterator[Driver]:
    """A driver that signals can stop, with workers that end with it.

    Args:
        listed: train nothing but what is enqueued.
        with_val: train on the validation images too.
        compile: train through `torch.compile`.
    """
    store, resources = run.store, run.resources
    setup = Setup(
        space=run.space.source,
        space_version=run.space.version,
        training=store.recipe.fixed,
        data=str(run.data.folder),
        device=resources.devices[0],
        threads=resources.threads,
        precision=resources.precision,
        memory_cap=resources.memory_cap,
        with_val=with_val,
        metric=store.recipe.metric,
        compile=compile,
    )
    engine = make_engine(setup, resources.devices, store.folder, store.recipe)
    planner = Planner(
        run.space,
        run.data.info,
        precision=resources.precision,
        device=resources.devices[0],
        memory_cap=resources.memory_cap,
        post=engine.post,
        seed=store.recipe.seed,
    )
    memory = MemoryBudget(resources.memory_cap, resources.devices, resources.budgets, store.calibration)
    driver = Driver(store, run.space, run.data.info, engine, planner, memory, listed=listed)
    try:
        with _stopped_by_signals(driver.stop, store.storage.stop_waiting):
            yield driver
    finally:
        engine.close()
        planner.close()


@contextmanager
def _stopped_by_signals(*stops: Callable[[], None]) -> Iterator[None]:
    """SIGINT and SIGTERM end the search cleanly, by calling `stops`; a second one interrupts at once."""
    if threading.current_thread() is not threading.main_thread():
        yield  # Python delivers signals to the main thread alone
        return

    def on_signal(number: int, frame: object) -> None:
        for each in handled:
            signal.signal(each, signal.default_int_handler)
        for stop in stops:
            stop()

    handled = [signal.SIGINT, signal.SIGTERM]
    before = [signal.signal(each, on_signal) for each in handled]
    try:
        yield
    finally:
        for each, handler in zip(handled, before, strict=True):
            signal.signal(each, handler)
