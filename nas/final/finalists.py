"""Which networks are retrained: the best trials, and what their gain is measured against."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from optuna.trial import FixedTrial

from nas.driver.prepare import Prepared
from nas.errors import StudyError
from nas.final.settings import FinalSettings
from nas.space import DataInfo
from nas.space.load import Space
from nas.study.records import TrialRecord, random_start, ranking
from nas.study.replay import rebuild, space_of

REPLACEMENT = "cosine"
"""For the schedule "plateau", which looks at validation images: the model that ships trains on them."""


@dataclass(frozen=True, kw_only=True)
class Finalist:
    """A network that is retrained."""

    name: str
    """Such as "trial 12"; unique among finalists."""
    space: Space
    """Search space with the training settings that are fixed."""
    params: dict[str, Any]
    trial: int | None = None
    """Number in the study; None for a baseline."""
    may_win: bool = False
    """Whether it is one of the best trials."""
    rival: str | None = None
    """What the winner is compared with it as, such as "baseline logistic"."""
    digest: str
    """Digest of its proposal as retrained."""
    note: str | None = None
    """What was changed of its training."""


def choose_finalists(run: Prepared, settings: FinalSettings) -> list[Finalist]:
    """The best trials in order, then the best of the random start, then the baselines; each network once.

    Raises:
        StudyError: no trial was completed, or a trial cannot be rebuilt.
    """
    found: dict[str, Finalist] = {}
    for each in _all(run, settings):
        same = found.get(each.digest)
        if same is None:
            found[each.digest] = each
        elif each.rival:  # the random start has found one of the best
            found[each.digest] = Finalist(**vars(same) | {"rival": each.rival})
    return list(found.values())


def _all(run: Prepared, settings: FinalSettings) -> Iterator[Finalist]:
    records = run.store.trials()
    ranked = ranking(records)
    if not ranked:
        raise StudyError(f"Study {run.store.name!r} has no completed trial yet. Go on with: nas search")
    info = run.data.info

    def finalist(record: TrialRecord, **roles: Any) -> Finalist:
        rebuild(run.store, record, run.space, info)  # refused now rather than after hours of training
        return _finalist(f"trial {record.number}", run.space, record, settings, info, record.number, **roles)

    for record in ranked[: settings.top]:
        yield finalist(record, may_win=True)
    if start := random_start(records):
        yield finalist(start[0], rival="best of the random start")
    for store in run.store.companions():
        space = space_of(store)
        for record in store.trials()[:1]:
            yield _finalist(space.name, space, record, settings, info, None, rival=f"baseline {space.name}")


def _finalist(
    name: str,
    space: Space,
    record: TrialRecord,
    settings: FinalSettings,
    info: DataInfo,
    trial: int | None,
    **roles: Any,
) -> Finalist:
    fixed: dict[str, Any] = {**space.training}
    if settings.ema is not None:
        fixed["ema_decay"] = settings.ema
    proposal = space.fixing(fixed).suggest(FixedTrial(record.params), info)
    note = None
    if proposal.training.schedule == "plateau":
        fixed["schedule"] = REPLACEMENT
        proposal = space.fixing(fixed).suggest(FixedTrial(record.params), info)
        note = f"{name}: its schedule plateau needs validation images, it is trained with {REPLACEMENT}"
    return Finalist(
        name=name,
        space=space.fixing(fixed),
        params=record.params,
        trial=trial,
        digest=proposal.digest,
        note=note,
        **roles,
    )
