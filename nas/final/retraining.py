"""Trains finalists as the trials of companion studies: resumable, within the memory cap, packed.

A companion holds the finalists of one search space with the same training settings, each with its seeds. The
companions belong to the end of a study, not to the study itself, whose companions are its baselines.
"""

from __future__ import annotations

import hashlib
import json
import math
import uuid
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from nas.driver.prepare import UNCUT, Prepared
from nas.driver.run import driver_of, started
from nas.errors import StudyError
from nas.events import EpochTrained, Event, Notice, SearchEnded, TrialEnded, Watch
from nas.final.finalists import Finalist
from nas.final.seeded import SEED, SeededSpace
from nas.final.settings import FinalSettings
from nas.study.database import make_folder
from nas.study.outcome import Outcome
from nas.study.reader import space_facts
from nas.study.records import TrialRecord
from nas.study.writer import StudyWriter

Phase = Literal["retrain", "ship"]
"""Retraining on several seeds, judged by validation images; or training on these as well."""

SETTLED = (Outcome.COMPLETED, Outcome.PRUNED, Outcome.DOES_NOT_FIT, Outcome.WAITING)
"""Outcomes of trainings that need not be enqueued again."""


@dataclass(frozen=True)
class Trained:
    """One training of a finalist."""

    store: StudyWriter
    """Companion study that it is a trial of."""
    record: TrialRecord

    @property
    def completed(self) -> bool:
        return self.record.outcome is Outcome.COMPLETED


def train_finalists(
    run: Prepared,
    finalists: Sequence[Finalist],
    phase: Phase,
    seeds: int,
    settings: FinalSettings,
    watch: Watch,
) -> dict[str, list[Trained]]:
    """Train what is not trained yet. Returns the trainings of each finalist by its name, in order of seeds.

    Raises:
        KeyboardInterrupt: somebody stopped it; the next call goes on.
        NasError: as of a search.
    """
    found: dict[str, list[Trained]] = {}
    for group in _groups(finalists):
        companion = _companion(run, group, phase, seeds, settings)
        store = companion.store
        wanted = {(each.name, seed): each.params | {SEED: seed} for each in group for seed in range(seeds)}
        if missing := enqueue_missing(store, wanted.values()):
            resources = replace(run.resources, devices=run.resources.devices[:missing])
            title = _title(group, phase, seeds, settings)
            _train(replace(companion, resources=resources), phase, settings, title, watch)
        records = store.trials()
        for (name, _), params in wanted.items():
            mine = [record for record in records if record.params == params]
            if not mine:  # Optuna has drawn other values than those that were asked for
                raise StudyError(
                    f"{name} cannot be trained anew: {group[0].space.name} has other ranges now."
                )
            found.setdefault(name, []).append(Trained(store, mine[-1]))
    return found


def _groups(finalists: Iterable[Finalist]) -> Iterator[list[Finalist]]:
    """Those that workers of one setup can train."""
    groups: dict[str, list[Finalist]] = {}
    for each in finalists:
        key = json.dumps([each.space.source, dict(each.space.training)], sort_keys=True)
        groups.setdefault(key, []).append(each)
    yield from groups.values()


def _companion(
    run: Prepared, group: Sequence[Finalist], phase: Phase, seeds: int, settings: FinalSettings
) -> Prepared:
    """A study for a group, as an earlier run has left it or new."""
    space, store = group[0].space, run.store
    made_with = [phase, space.source, space.version, dict(space.training), settings.epochs, settings.compile]
    if phase == "ship":  # a study keeps the weights of three trials: enough for those of one run
        made_with += [settings.top, settings.seeds]
    digest = hashlib.sha256(json.dumps(made_with, sort_keys=True).encode()).hexdigest()[:8]
    name = f"{store.name}.{space.name}.{phase}-{digest}"
    changes: dict[str, Any] = {
        "study": name,
        "space": space.source,
        "training": dict(space.training),  # weights of classes included
        "class_weights": None,
        "baseline": (),
    }
    changes |= {"epochs": settings.epochs} | UNCUT
    recipe = store.recipe.model_copy(update=changes)
    folder, cap = store.folder.parent, run.resources.memory_cap
    if StudyWriter.exists(store.storage, name):
        companion = StudyWriter(store.storage, name, folder)
        companion.take_over(recipe, cap)
    else:
        make_folder(folder / name)
        end = str(uuid.uuid5(uuid.UUID(store.uuid), "final"))
        facts = store.data | space_facts(space.digest, folder)
        companion = StudyWriter.create(
            store.storage, name, folder, recipe, space.version, facts, cap, companion_of=end
        )
    for device, content in store.calibration.items():  # what the search has learned of memory
        if device not in companion.calibration:
            companion.keep_calibration(device, content)
    companion.begin()
    return Prepared(companion, SeededSpace.of(space), run.data, run.resources)


def enqueue_missing(store: StudyWriter, wanted: Iterable[dict[str, object]]) -> int:
    """Propose what is missing. Returns how many trials wait."""
    settled = [record for record in store.trials() if record.outcome in SETTLED]
    for params in wanted:
        if not any(record.params == params for record in settled):
            store.enqueue(params)
    if missing := store.waiting:
        charged = sum(record.outcome.charged for record in settled)
        recipe = store.recipe.model_copy(update={"trials": charged + missing})
        store.take_over(recipe, store.memory_cap)
    return missing


def _train(companion: Prepared, phase: Phase, settings: FinalSettings, title: str, watch: Watch) -> None:
    watch(started(companion) if phase == "retrain" else replace(started(companion), best=None, curve=()))
    watch(Notice(text=title))
    with driver_of(companion, listed=True, with_val=phase == "ship", compile=settings.compile) as driver:
        for event in driver.run():
            if isinstance(event, SearchEnded):
                watch(replace(event, why="stopped" if event.why == "stopped" else "trials"))
                if event.why == "stopped":
                    raise KeyboardInterrupt
            else:
                watch(event if phase == "retrain" else _without_value(event))


def _without_value(event: Event) -> Event:
    """What images say that a network was trained on says nothing of it, and is not shown."""
    match event:
        case EpochTrained(epoch=epoch):
            unknown = replace(epoch, val_accuracy=math.nan, val_loss=math.nan, value=math.nan)
            return replace(event, epoch=unknown)
        case TrialEnded():
            return replace(event, value=None)
    return event


def _title(group: Sequence[Finalist], phase: Phase, seeds: int, settings: FinalSettings) -> str:
    """What is about to be trained, in a line."""
    names = ", ".join(each.name for each in group)
    epochs = "1 epoch" if settings.epochs == 1 else f"{settings.epochs} epochs"
    images = "training and validation images" if phase == "ship" else "training images"
    times = f"{seeds} seeds each, " if seeds > 1 else ""
    notes = "".join(f" {each.note}." for each in group if each.note)
    return f"Retraining on {images}, {times}{epochs}: {names}.{notes}"
