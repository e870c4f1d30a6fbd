"""How long it will go on: predictions, corrected by what was measured so far. All views tell the same."""

from __future__ import annotations

from collections.abc import Sequence

from nas.events import Forecast
from nas.study.records import typical

PRIOR = 2
"""So many trials of the usual length count for the forecast, beside those that have shown how it fares."""

UNITS = (("second", 1, 90), ("minute", 60, 5400), ("hour", 3600, float("inf")))
"""Name, seconds, and the seconds up to which it is used."""


def trial_left(
    predicted: float | None, taken: Sequence[float], lacks: int, part: float | None, since: float
) -> float | None:
    """Seconds until a running trial ends, if nobody ends it early; None before anything is known.

    Args:
        predicted: seconds of an epoch.
        taken: seconds of those that it has trained; their median counts from the first on.
        lacks: epochs that it has yet to finish.
        part: of the epoch in progress, where it is known: what that has taken stands for its part of it.
        since: seconds since the last epoch ended, or the trial began.
    """
    usual = typical(taken) or predicted
    if usual is None and part:
        usual = since / part
    if usual is None or lacks <= 0:
        return None if lacks > 0 else 0.0
    whole = since + (1 - part) * usual if part else max(usual, since)
    return max(0.0, whole - since) + (lacks - 1) * (usual if taken else whole)


def search_left(
    forecast: Forecast,
    *,
    remaining: int,
    begun: int,
    workers: int,
    ran: float,
    done: float,
    running: Sequence[float],
) -> float:
    """Seconds until the last trial of a search ends.

    What trials to come were predicted to take, by as much longer or shorter as the search has needed for what
    it has done: pruned trials, refused proposals and the time between trials are in it.

    Args:
        remaining: trials that are still to be charged, running ones included.
        begun: trials that this run has asked for and that ended or run.
        ran: seconds since the first of them began.
        done: predicted seconds of what they have trained so far.
        running: seconds left of each running trial.
    """
    to_come = max(0, remaining - len(running))
    starts = forecast.starts[begun:][:to_come]
    usual = PRIOR * forecast.mean
    pace = (usual + workers * ran) / (usual + done) if usual + done else 1.0
    predicted = pace * (sum(starts) + (to_come - len(starts)) * forecast.mean)
    return max([(sum(running) + predicted) / max(1, min(workers, remaining)), *running])


def about(low: float, high: float | None = None) -> str:
    """Rounded as people do: about 14 minutes, about 10 to 20 minutes."""
    high = low if high is None else high
    name, size, _ = next(unit for unit in UNITS if high < unit[2])
    least, most = (f"{_round(seconds / size):g}" for seconds in (low, high))
    return f"about {least if least == most else f'{least} to {most}'} {name}{'' if most == '1' else 's'}"


def forecast_lines(forecast: Forecast, total: int, limit: float | None) -> list[str]:
    """What is asked for, and how long it is likely to take; then a time limit that would do, if need be.

    Args:
        total: trials that the study shall have.
        limit: seconds of the time limit.
    """
    more = "" if forecast.trials == total else "more "
    wide = forecast.high > 1.5 * forecast.seconds
    time = about(forecast.low, forecast.high) if wide else about(forecast.seconds)
    line = f"{forecast.trials:,} {more}{'trial' if forecast.trials == 1 else 'trials'}, {time}"
    line += "" if forecast.pruned else " if none is pruned"
    line += "" if forecast.known else "; little was timed on this device yet, so this is a guess"
    lines = [line + "."]
    if limit is not None and forecast.fits is not None and forecast.fits < forecast.trials:
        fits = {0: "None of them is", 1: "One of them is"}.get(
            forecast.fits, f"{forecast.fits:,} of them are"
        )
        would = f"would fit {'four' if forecast.trials > 4 else 'them all'}"
        enough = "" if forecast.enough is None else f": --time-limit {flag(forecast.enough)} {would}"
        lines.append(f"{fits} likely to end within {flag(limit)}{enough}.")
    return lines


def flag(seconds: float) -> str:
    """A duration as a flag takes it: 90s, 3m, 1h30m."""
    minutes, rest = divmod(seconds, 60)
    if rest or minutes < 2:
        return f"{seconds:g}s"
    hours, minutes = divmod(int(minutes), 60)
    return (f"{hours}h" if hours else "") + (f"{minutes}m" if minutes else "")


def _round(number: float) -> float:
    """To halves under three, to whole numbers under 20, to fives under 100, to tens above."""
    step = 0.5 if number < 2.75 else 1 if number < 20 else 5 if number < 100 else 10
    return max(step, step * round(number / step))
