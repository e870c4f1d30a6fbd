"""No proposal is trained twice."""

from types import SimpleNamespace
from typing import Any, cast

import pytest

from nas.driver.duplicates import EXHAUSTED, Duplicates
from nas.driver.live_trial import LiveTrial
from nas.study.outcome import Outcome
from nas.study.records import TrialRecord


def record(number: int, outcome: Outcome, digest: str | None = "a", **columns: Any) -> TrialRecord:
    return TrialRecord(number=number, outcome=outcome, params={}, digest=digest, **columns)


def active(number: int, digest: str = "a") -> LiveTrial:
    proposal = SimpleNamespace(digest=digest)
    return cast(LiveTrial, SimpleNamespace(number=number, proposal=proposal, plan=None, curve=[]))


@pytest.mark.parametrize("outcome", Outcome)
def test_what_was_trained_or_does_not_fit_is_known_from_the_records(outcome: Outcome) -> None:
    settled = {Outcome.COMPLETED, Outcome.PRUNED, Outcome.DOES_NOT_FIT}
    told = {"memory": -0.5}
    earlier = Duplicates([record(3, outcome, predicted=7)], {3: told}).look_up("a")
    known = earlier and (earlier.number, earlier.predicted, earlier.constraints)
    assert known == ((3, 7, told) if outcome in settled else None)


def test_the_first_of_equal_trials_counts() -> None:
    known = Duplicates([record(1, Outcome.PRUNED), record(4, Outcome.COMPLETED)], {})
    earlier = known.look_up("a")
    assert earlier
    assert earlier.number == 1


def test_a_record_without_a_digest_is_equal_to_nothing() -> None:
    assert Duplicates([record(1, Outcome.PRUNED, digest=None)], {})._trials == {}


def test_a_trial_is_known_from_its_asking_until_it_is_forgotten_and_with_what_it_learned_since() -> None:
    known, trial = Duplicates([], {}), active(5)
    assert known.look_up("a") is None
    known.first(trial)
    cast(list[Any], trial.curve).append("an epoch")
    earlier = known.look_up("a")
    assert earlier
    assert (earlier.number, earlier.curve, earlier.constraints) == (5, ["an epoch"], None)
    known.forget(active(6))
    assert known.look_up("a"), "a duplicate of it was forgotten, not the trial itself"
    known.forget(trial)
    assert known.look_up("a") is None


def test_a_space_is_exhausted_by_a_run_of_duplicates_that_nothing_new_breaks() -> None:
    known = Duplicates([record(0, Outcome.COMPLETED)], {})
    for _ in range(EXHAUSTED - 1):
        known.look_up("a")
    assert not known.exhausted
    known.look_up("new")
    for _ in range(EXHAUSTED):
        assert not known.exhausted
        known.look_up("a")
    assert known.exhausted
