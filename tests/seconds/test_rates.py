"""What work takes: known before, learned from what was trained."""

import random
from statistics import median

import pytest

from nas.seconds.machine import remember, remembered
from nas.seconds.rates import Rates, Sample, reference, seconds_of

KINDS = ("convolution", "pointwise", "stem", "matrix", "bytes", "calls")


def trials(count: int, slower: dict[str, float], noise: float = 0.0, pace: float = 1.0) -> list[Sample]:
    """Random epochs on a machine whose rates differ from the reference by factors."""
    dice, known = random.Random(count), reference("cpu")
    samples = []
    for _ in range(count):
        work = {kind: dice.lognormvariate(0, 1) / known[kind] for kind in KINDS}
        true = seconds_of(work, {kind: rate * slower.get(kind, 1.0) for kind, rate in known.items()})
        samples.append(Sample(work, pace * true * dice.lognormvariate(0, noise), pace))
    return samples


def errors(rates: Rates, samples: list[Sample]) -> list[float]:
    return [abs(rates.predict(each.work, each.pace) / each.seconds - 1) for each in samples]


def test_before_anything_is_trained_the_reference_and_the_pace_tell():
    (sample,) = trials(1, {}, pace=3.0)
    assert Rates("cpu").predict(sample.work, 3.0) == pytest.approx(sample.seconds)
    assert Rates("cpu").predict(sample.work, 6.0) == pytest.approx(2 * sample.seconds)


@pytest.mark.parametrize(
    "slower",
    [
        {},
        dict.fromkeys(KINDS, 2.5),
        {"convolution": 0.4, "bytes": 2.0},
        {"calls": 3.0, "stem": 0.5, "matrix": 1.8},
    ],
    ids=str,
)
def test_five_trials_teach_a_machine_and_fifty_teach_it_well(slower):
    known, others = trials(55, slower, noise=0.05), trials(40, slower)
    before, few, many = (errors(Rates("cpu", known[:count]), others) for count in (0, 5, 50))
    assert median(few) < 0.15
    assert median(many) < 0.05
    assert median(many) <= median(few) <= max(0.1, median(before))


def test_one_odd_trial_changes_no_prediction_by_more_than_itself():
    (odd,) = trials(1, dict.fromkeys(KINDS, 10.0))
    taught = Rates("cpu", [odd])
    for sample in trials(20, {}):
        assert 1 <= taught.predict(sample.work, 1.0) / sample.seconds < 10.5


def test_no_work_takes_less_than_nothing():
    rates = Rates("cpu", trials(30, {"calls": 0.0, "bytes": 4.0}, noise=0.3))
    assert all(rates.predict({kind: 1e6}, 1.0) >= 0 for kind in KINDS)


def test_a_trial_that_goes_on_corrects_its_own_sample():
    first, later = trials(2, {})
    rates = Rates("cpu")
    rates.add(first)
    rates.correct(first, later)
    assert rates.samples == [later]


def test_what_was_learned_is_there_for_the_next_study_on_this_machine(tmp_path, monkeypatch):
    monkeypatch.setenv("NAS_CACHE", str(tmp_path))
    samples = trials(3, {})
    assert remembered("cpu") == []
    remember("cpu", samples)
    assert remembered("cpu") == samples
    assert remembered("some card") == []


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[1]",
        '[{"work": 1}]',
        "{",
        "\0",
        '[{"work": {"calls": 1}, "seconds": 0, "pace": 1}]',
        '[{"work": {"calls": 1}, "seconds": 1, "pace": NaN}]',
        '[{"work": {"calls": "many"}, "seconds": 1, "pace": 1}]',
        '[{"work": {"calls": -1}, "seconds": 1, "pace": 1}]',
    ],
)
def test_a_broken_file_of_the_cache_is_as_none(tmp_path, monkeypatch, content):
    monkeypatch.setenv("NAS_CACHE", str(tmp_path))
    remember("cpu", trials(1, {}))
    next((tmp_path / "seconds").iterdir()).write_text(content)
    assert remembered("cpu") == []


def test_a_cache_that_cannot_be_written_ends_nothing(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("NAS_CACHE", str(tmp_path / "file"))
    remember("cpu", trials(1, {}))
    assert remembered("cpu") == []
