"""What a report says in words and numbers. The numbers are those of `nas show --json`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from statistics import median
from typing import TYPE_CHECKING, Any

from nas.machine.plugins import METRICS
from nas.metrics.base import ACCURACY, Named, metric_title, wilson
from nas.study.outcome import Outcome
from nas.study.reader import StudyReader
from nas.study.records import TrialRecord, plan_in_words, ranking
from nas.study.spending import parts
from nas.views import format
from nas.views.costs import costs_in_words
from nas.views.figures.theme import by_outcome
from nas.views.terminal.network import training_in_words

if TYPE_CHECKING:
    from nas.views.shown import Study

PRIVATE = {"study", "storage", "folder", "data_dir", "root"}
"""Settings that tell of the machine, not of the search."""

LISTED = 10
"""The best trials that are listed."""


@dataclass(frozen=True)
class Fact:
    """One line of a list of facts."""

    label: str
    text: str
    value: float | int | str | None = None
    """The number itself, as `nas show --json` has it; for programs."""
    name: str = ""
    """What programs find it by."""


def answer(best: TrialRecord) -> list[Fact]:
    """What the best trial is worth."""
    speed = median(epoch.images_per_second for epoch in best.epochs) if best.epochs else None
    return [
        Fact(f"validation {best.metric_in_words}", format.accuracy(best.value), best.value, "value"),
        Fact("parameters", format.count(best.num_parameters), best.num_parameters, "num_parameters"),
        Fact(
            "multiply-adds per image", format.count(best.multiply_adds), best.multiply_adds, "multiply_adds"
        ),
        Fact("peak memory in training", format.memory(best.measured_peak), best.measured_peak, "memory"),
        Fact("training images per second", format.count(speed), speed, "images_per_second"),
        Fact("time of the trial", format.duration(best.seconds), best.seconds, "seconds"),
    ]


def network(best: TrialRecord) -> list[Fact]:
    """How the best trial is built and trained."""
    proposal = best.proposal or {}
    facts = [
        Fact("architecture", format.in_words(proposal["architecture"]) if proposal else ""),
        Fact("training", training_in_words(proposal["training"]) if proposal else ""),
        Fact("batches", plan_in_words(best.plan) or ""),
        Fact("seed", "" if best.seed is None else str(best.seed)),
    ]
    return [fact for fact in facts if fact.text]


def question(study: Study, records: Sequence[TrialRecord]) -> list[Fact]:
    """What was searched, in which data, under which limits and on which machine."""
    recipe, data = study.store.recipe, study.store.data
    info, cap = data["info"], study.store.memory_cap
    devices = sorted({record.device for record in records if record.device})
    workers = len({record.worker for record in records if record.worker is not None})
    height, width = info["shape"][1:]
    images = ", ".join(f"{number:,} {split}" for split, number in data.get("counts", {}).items())
    return [
        Fact("search space", f"{format.space(recipe.space)}, version {study.store.space_version}"),
        Fact("data", f"{info['name']}: {info['num_classes']} classes, {height}×{width} pixels"),
        Fact("images", images or f"{info['num_train']:,} train, {info['num_val']:,} val"),
        Fact("one trial", f"{format.plural(recipe.epochs, 'epoch')}, {recipe.precision}"),
        Fact("trials asked for", f"{recipe.trials:,}", recipe.trials, "trials"),
        Fact("sampler and pruner", f"{recipe.sampler}, {recipe.pruner}"),
        Fact("memory cap of a trial", format.memory(cap) if cap else "none", cap, "memory_cap"),
        Fact("device", ", ".join(devices) or format.MISSING),
        Fact("workers", str(workers)),
        Fact("seed", str(recipe.seed), recipe.seed, "seed"),
        Fact(
            "versions",
            ", ".join(f"{name} {version}" for name, version in study.store.row["versions"].items()),
        ),
    ]


def settings(study: Study) -> dict[str, str]:
    """Every setting that tells of the search, by its name."""
    recipe = study.store.recipe
    short = {"space": format.space(recipe.space), "data": study.store.data["info"]["name"]}
    values = recipe.model_dump(mode="json") | short
    return {
        name: str(value) for name, value in values.items() if name not in PRIVATE and value not in (None, [])
    }


def best_trials(records: Sequence[TrialRecord]) -> list[dict[str, str]]:
    """The best completed trials, as the cells of a table by heading."""
    return [
        {
            "trial": str(record.number),
            record.metric_in_words: format.accuracy(record.value),
            **costs_in_words(record),
            "memory": format.memory(record.measured_peak),
            "time": format.duration(record.seconds),
            "network": format.in_words(record.proposal["architecture"]) if record.proposal else "",
        }
        for record in ranking(records)[:LISTED]
    ]


# What it cost ----------------------------------------------------------------------------------------------


def cost(records: Sequence[TrialRecord], num_train: int) -> list[Fact]:
    """Time and images that the whole search took."""
    epochs = sum(len(record.epochs) for record in records)
    on_devices = device_seconds(records)
    by_workers = sum(record.seconds or 0.0 for record in records)
    return [
        Fact("device hours", _hours(on_devices), on_devices / 3600, "device_hours"),
        Fact("worker hours", _hours(by_workers), by_workers / 3600, "worker_hours"),
        Fact("epochs", f"{epochs:,}", epochs, "epochs"),
        Fact("training images seen", format.count(epochs * num_train), epochs * num_train, "images"),
    ]


def cost_by_part(records: Sequence[TrialRecord]) -> list[dict[str, str]]:
    """Seconds of workers spent on starts and on what the sampler proposed, as the cells of a table."""
    return [
        {
            "part": part.name,
            "trials": f"{part.trials:,}",
            "time of workers": format.duration(part.seconds),
            "share": f"{part.share:.0%}",
        }
        for part in parts(records)
    ]


def cost_by_outcome(records: Sequence[TrialRecord]) -> list[dict[str, str]]:
    """The same for each outcome, as the cells of a table by heading."""
    return [
        {
            "outcome": outcome.in_words,
            "trials": f"{len(some):,}",
            "epochs": f"{sum(len(record.epochs) for record in some):,}",
            "worker hours": _hours(sum(record.seconds or 0.0 for record in some)),
        }
        for outcome, some in by_outcome(records).items()
    ]


def device_seconds(records: Iterable[TrialRecord]) -> float:
    """Seconds in which a device had at least one trial, summed over devices."""
    spans: dict[str | None, list[tuple[datetime, datetime]]] = {}
    for record in records:
        if record.started_at is not None and record.finished_at is not None:
            device = record.placed_on or record.device
            spans.setdefault(device, []).append((record.started_at, record.finished_at))
    total = 0.0
    for some in spans.values():
        until = datetime.min
        for start, end in sorted(some):
            total += max(0.0, (end - max(start, until)).total_seconds())
            until = max(until, end)
    return total


def _hours(seconds: float) -> str:
    return f"{seconds / 3600:.2f}" if seconds < 36000 else f"{seconds / 3600:,.1f}"


# How far to trust it ---------------------------------------------------------------------------------------


def trust(study: Study, best: TrialRecord | None, records: Sequence[TrialRecord]) -> list[str]:
    """How far the value of the best trial can be trusted."""
    if best is None or best.value is None:
        return ["There is nothing to trust yet."]
    num_val, interval = study.store.data["info"]["num_val"], _interval(study.store, best)
    measured = f"The {best.metric_in_words} was measured on {format.plural(num_val, 'validation image')}."
    if interval is not None:
        measured += f" For a single network, so many images leave a 95 % interval of {interval}."
    completed = sum(record.outcome is Outcome.COMPLETED for record in records)
    return [
        measured,
        f"But the same images chose this one as the best of {format.plural(completed, 'completed trial')}:"
        " expect a little less on new images. No test image was used in the search.",
    ]


def _interval(store: StudyReader, best: TrialRecord) -> str | None:
    """Of the best value, at 95 %; None where nobody knows."""
    assert best.value is not None
    counts = store.counts(best.number)
    if counts is not None and best.metric in METRICS.names():
        low, high = Named(best.metric).interval(counts)
    elif best.metric == ACCURACY:  # of a trial from before counts were stored
        low, high = wilson(best.value, store.data["info"]["num_val"])
    else:
        return None
    return f"{low:.4f} to {high:.4f}"


def baselines(
    found: Sequence[Mapping[str, Any]], best: TrialRecord | None, metric: str
) -> list[dict[str, str]]:
    """The baselines of the study (`baselines` of its JSON) beside its best trial, as the cells of a table.

    Args:
        metric: that their values are of, in words.
    """
    lead = best.value if best is not None else None
    rows = []
    for baseline in found:
        value = baseline["value"]
        ahead = "" if value is None or lead is None else f"{lead - value:+.4f}"
        rows.append(
            {
                "baseline": format.clean(str(baseline["name"])),
                metric: format.accuracy(value),
                "parameters": format.count(baseline["num_parameters"]),
                "trials": f"{baseline['trials']:,}",
                "the best is ahead by": ahead,
            }
        )
    return rows


def final(found: Mapping[str, Any] | None) -> list[Fact]:
    """The final evaluation on test images (`final` of the study's JSON)."""
    if found is None:
        return []
    low, high = found["interval"]
    return [
        Fact(
            f"test {metric_title(found['metric'])}",
            format.accuracy(found["test_value"]),
            found["test_value"],
            "test_value",
        ),
        Fact("95 % interval", f"{low:.4f} to {high:.4f}"),
        *(_gain(rival) for rival in found["gains"] if rival["trial"] != found["trial"]),
        Fact("openings of the test images", str(found["openings"]), found["openings"], "openings"),
    ]


def _gain(rival: Mapping[str, Any]) -> Fact:
    """How far the final model lies above a network that was trained the same way, with the 95 % interval."""
    low, high = rival["interval"]
    return Fact(
        f"gain above the {format.clean(rival['name'])}", f"{rival['gain']:+.4f} ({low:+.4f} to {high:+.4f})"
    )
