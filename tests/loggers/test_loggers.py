"""Loggers: the contract, what jsonl writes, and what happens to one that fails."""

import json
from contextlib import contextmanager

import pytest

from nas.errors import StorageError, UnknownName
from nas.events import ImagesSeen, Notice, OfBaseline
from nas.loggers.base import logged
from nas.machine.plugins import LOGGERS
from nas.testing import LoggerContract
from nas.testing.loggers import events


@pytest.mark.parametrize("name", LOGGERS.shipped(), scope="class")
class TestOurs(LoggerContract):
    @pytest.fixture(autouse=True)
    def named(self, name):
        self.name = name


def written(folder):
    return [json.loads(line) for line in (folder / "events.jsonl").read_text().splitlines()]


def run(folder, names=("jsonl",), happening=None):
    seen = []
    with logged(names, folder, seen.append) as tell:
        for event in happening or events():
            tell(event)
    return seen


def test_jsonl_holds_one_object_an_event_and_the_next_run_adds_its_own(tmp_path):
    run(tmp_path)
    first = written(tmp_path)
    assert [line["event"] for line in first] == [type(event).__name__ for event in events()]
    assert first[0]["recipe"]["space"] == "mlp"
    assert (first[3]["name"], first[3]["of"]["event"]) == ("resnet8", "TrialStarted")
    trained = next(line for line in first if line["event"] == "EpochTrained")
    assert (trained["epoch"]["val_accuracy"], trained["epoch"]["val_loss"]) == (0.5, None)
    assert all(line["at"].endswith("Z") for line in first)
    run(tmp_path)
    assert written(tmp_path)[: len(first)] == first
    assert len(written(tmp_path)) == 2 * len(first)


def test_how_far_an_epoch_is_goes_to_watchers_alone(tmp_path):
    seen = ImagesSeen(number=0, epochs=1, images=2, of=8)
    happening = [events()[0], seen, OfBaseline(name="resnet8", event=seen), events()[-1]]
    assert run(tmp_path, happening=happening) == happening
    assert [line["event"] for line in written(tmp_path)] == ["SearchStarted", "SearchEnded"]


def test_a_line_that_a_crash_has_cut_short_is_taken_away(tmp_path):
    run(tmp_path)
    whole = (tmp_path / "events.jsonl").read_bytes()
    (tmp_path / "events.jsonl").write_bytes(whole + b'{"at": "2026-')
    run(tmp_path)
    assert (tmp_path / "events.jsonl").read_bytes().startswith(whole)
    assert len(written(tmp_path)) == 2 * len(events())


def test_a_log_that_cannot_be_opened_is_said_before_anything_begins(tmp_path):
    (tmp_path / "events.jsonl").mkdir()
    with pytest.raises(StorageError, match=r"events\.jsonl cannot be written: Is a directory\."):
        run(tmp_path)
    with pytest.raises(UnknownName, match=r"No logger named 'paper'. Known: jsonl"):
        run(tmp_path, ["paper"])


class Failing:
    """A module that is a logger, which fails at its third event, or when it is closed."""

    def __init__(self, at, error=ValueError):
        self.at, self.error, self.told = at, error, []

    @contextmanager
    def make(self, folder):
        def log(event):
            self.told.append(event)
            if len(self.told) == self.at:
                raise self.error("no ink")

        yield log
        if self.at == "close":
            raise self.error("no ink")


@pytest.fixture
def add(monkeypatch):
    """Offers loggers by their names."""
    added, find = {}, type(LOGGERS).find
    monkeypatch.setattr(type(LOGGERS), "find", lambda self, name: added.get(name) or find(self, name))
    return added.update


@pytest.mark.parametrize("error", [ValueError, SystemExit])
@pytest.mark.parametrize(("at", "told"), [(3, 3), ("close", len(events()))])
def test_a_logger_that_fails_is_left_out_and_said_once_and_the_others_go_on(tmp_path, add, at, told, error):
    failing = Failing(at, error)
    add(bad=failing)
    seen = run(tmp_path, ["bad", "jsonl"])
    notice = Notice(text=f"The log bad is left out from now on: {error.__name__}: no ink")
    assert seen.count(notice) == 1
    assert [event for event in seen if event != notice] == events()
    assert len(failing.told) == told
    assert [line["event"] for line in written(tmp_path)][-1] in ("SearchEnded", "Notice")
    assert len(written(tmp_path)) >= len(events())


def test_two_that_fail_at_once_are_told_nothing_more_and_the_third_hears_of_them_afterwards(tmp_path, add):
    first, second = Failing(3), Failing(3)
    add(first=first, second=second)
    run(tmp_path, ["first", "second", "jsonl"])
    assert first.told == second.told == events()[:3]
    names = [line["event"] for line in written(tmp_path)]
    happened = [type(event).__name__ for event in events()]
    assert names == [*happened[:3], "Notice", "Notice", *happened[3:]]


def test_ctrl_c_in_a_logger_ends_the_run(tmp_path, add):
    add(bad=Failing(3, KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, ["bad"])
