import io

import pytest

from nas.events import EpochTrained, ImagesSeen, Notice, OfBaseline, SearchEnded, WorkerReady
from nas.study.outcome import Outcome
from nas.views.terminal.plain import PlainView
from tests.views.terminal.samples import GIB, HOSTILE, LITERAL, epoch, started, trial_ended, trial_started


class Pipe(io.TextIOWrapper):
    """Remembers what had arrived at the other end by each flush."""

    def __init__(self, encoding="utf-8"):
        self.arrived = io.BytesIO()
        super().__init__(self.arrived, encoding=encoding, newline="\n")

    def lines(self):
        return self.arrived.getvalue().decode(self.encoding).splitlines()


def watched(*events, encoding="utf-8"):
    pipe = Pipe(encoding)
    with PlainView(pipe) as view:
        for event in events:
            view(event)
    return pipe.lines()  # what was not flushed has not arrived


def test_the_start_is_one_line():
    (line,) = watched(started(counts={"completed": 3, "pruned": 1}))
    assert line == (
        "mlp-digits: mlp on digits, 1×8×8, 10 classes, 1,257 training + 270 validation, cuda:0, 2 workers,"
        " fp32, 4 of 10 trials done"
    )


@pytest.mark.parametrize(("epochs", "lines"), [(4, [1, 2, 3]), (100, range(10, 100, 10))])
def test_a_baseline_tells_how_far_it_is_now_and_then_and_counts_for_nothing(epochs, lines):
    happened = [
        trial_started(0),
        *(EpochTrained(number=0, epoch=epoch(n, 0.5)) for n in range(1, epochs + 1)),
    ]
    happened.append(trial_ended(0, Outcome.COMPLETED, 0.5))
    told = watched(started(epochs=epochs), *(OfBaseline(name="resnet20", event=each) for each in happened))
    assert told[1].startswith("baseline resnet20 begins: ")
    assert told[2:] == [f"baseline resnet20: epoch {number} of {epochs}, 0.5000" for number in lines]


@pytest.mark.parametrize(
    ("event", "line"),
    [
        (
            trial_ended(3, Outcome.COMPLETED, 0.98765, seconds=62),
            "trial 3 completed, 0.9877, 3 epochs, 1:02 | best 0.9877 (trial 3) | 3/10",
        ),
        (
            trial_ended(3, Outcome.PRUNED, reason="flat: no better than epoch 1"),
            "trial 3 pruned, 3 epochs, 0:10, flat: no better than epoch 1 | best 0.5000 (trial 1) | 3/10",
        ),
        (
            trial_ended(3, Outcome.FAILED, reason="RuntimeError: boom"),
            "trial 3 failed, 3 epochs, 0:10, RuntimeError: boom | best 0.5000 (trial 1) | 2/10",
        ),
        (Notice(text="a notice"), "a notice"),
        (SearchEnded(why="time"), "The time limit is reached. Run the command again to go on."),
    ],
)
def test_an_ended_trial_or_a_notice_is_one_line(event, line):
    start = started(counts={"completed": 2}, best=(1, 0.5))
    assert watched(start, event)[1:] == [line]


def test_the_memory_cap_is_told_at_the_start():
    (line,) = watched(started(memory_cap=4 * GIB))
    assert "memory cap 4.0 GiB" in line


DOES_NOT_FIT = trial_ended(4, Outcome.DOES_NOT_FIT, reason="needs 9 GiB")


@pytest.mark.parametrize(
    ("events", "line"),
    [
        ([DOES_NOT_FIT], "trial 4 does not fit: needs 9 GiB"),
        ([trial_ended(5, Outcome.DUPLICATE, reason="as trial 3")], "trial 5 duplicate: as trial 3"),
        (
            [trial_ended(3, Outcome.DUPLICATE), DOES_NOT_FIT],
            "trials 3 to 4: 1 duplicate, 1 did not fit; the last: needs 9 GiB",
        ),
    ],
)
def test_proposals_in_a_row_that_are_not_trained_share_a_line(events, line):
    assert watched(started(), *events, trial_started(6), DOES_NOT_FIT)[1:] == [
        line,
        watched(started(), DOES_NOT_FIT)[1],
    ]


def test_nothing_else_makes_a_line():
    trained = EpochTrained(number=0, epoch=epoch(1))
    inside = ImagesSeen(number=0, epochs=1, images=1, of=2)
    events = (WorkerReady(worker=0, device="cpu"), trial_started(0), trained, inside)
    assert len(watched(started(), *events)) == 1


def test_notes_on_the_data_are_told():
    assert watched(started(notes=("3 images were skipped",)))[1:] == ["3 images were skipped"]


@pytest.mark.parametrize("encoding", ["utf-8", "ascii", "latin-1"])
def test_hostile_text_is_written_literally_in_any_encoding(encoding):
    start, end = started(study=HOSTILE), trial_ended(0, Outcome.FAILED, reason=HOSTILE)
    lines = watched(start, end, Notice(text=HOSTILE), encoding=encoding)
    assert len(lines) == 3
    for line in lines:
        assert line.isprintable()
        assert LITERAL.partition(" ")[0] in line
