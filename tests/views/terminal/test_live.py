import io
import re
import sys
import time

import pytest
from rich.cells import cell_len
from rich.console import Console

from nas.events import EpochTrained, ImagesSeen, Notice, OfBaseline, SearchEnded, WorkerReady
from nas.study.outcome import Outcome
from nas.views.terminal.frame import frame, message_lines
from nas.views.terminal.live import LiveView
from nas.views.terminal.state import SearchState
from tests.grids import each_once
from tests.views.terminal.samples import GIB, HOSTILE, LITERAL, epoch, started, trial_ended, trial_started

ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def busy_state(text="a network", workers=4, **settings):
    """A search of which every worker but the last trains, and one trial has failed."""
    memory = {"memory_cap": 4 * GIB, "budgets": {text: 12 * GIB, "cuda:1": 12 * GIB}}
    start = started(workers=workers, study=text, notes=(text,), curve=(0.25, 0.5), **memory | settings)
    state = SearchState(start, 0.0)
    state.add(WorkerReady(worker=workers - 1, device=text), 0.0)
    for number in range(workers - 1):
        trial = trial_started(
            number, number, text, number or None, device=text, reservation=GIB * 3 // 2, plan="4 x 32 images"
        )
        state.add(trial, 1.0)
        state.add(EpochTrained(number=number, epoch=epoch(3, 0.625, 12345.6)), 2.0)
    state.add(trial_ended(77, Outcome.COMPLETED, 0.9375), 3.0)
    state.add(trial_ended(88, Outcome.FAILED, reason=text), 3.0)
    for number, outcome in enumerate((Outcome.PRUNED, Outcome.DOES_NOT_FIT, Outcome.DUPLICATE)):
        state.add(trial_ended(89 + number, outcome, reason=text), 3.0)
    return state


def lines_of(renderable, width=80, color=False):
    console = Console(
        file=io.StringIO(),
        width=width,
        force_terminal=color,
        highlight=False,
        color_system="standard" if color else None,
    )
    console.print(renderable, crop=False)
    return console.file.getvalue().splitlines()


@each_once(
    width=[60, 80, 120, 200],
    text={
        "hostile": HOSTILE,
        "plain": "plain",
        "words": "long words " * 30,
        "unbroken": "unbroken" * 40,
        "wide": "日本語" * 40,
    },
    workers=[1, 4, 40],
)
def test_a_frame_fits_its_terminal_without_a_line_cut_or_wrapped(width, text, workers):
    for height in (6, 10, 24, 60):
        lines = lines_of(frame(busy_state(text, workers), 100.0, width, height), width)
        assert max(cell_len(line) for line in lines) <= width
        assert (
            len(lines)
            == len(lines_of(frame(busy_state("plain", workers), 100.0, 200, height), 200))
            <= height
        )


@pytest.mark.parametrize("width", [20, 40, 60])
def test_a_narrow_terminal_gets_as_many_lines(width):
    console = Console(file=io.StringIO(), width=width, height=24)
    lines = console.render_lines(frame(busy_state("long words " * 30), 100.0, width, 24))
    assert len(lines) == len(lines_of(frame(busy_state(), 100.0, 80, 24)))


def test_a_frame_tells_how_the_search_stands():
    state = busy_state(epochs=12, trials=10, counts={"pruned": 3})
    shown = "\n".join(lines_of(frame(state, 62.0, 80, 24)))
    for said in (
        "mlp on digits · 1×8×8 · 10 classes · 1,257 training + 270 validation",
        "4 workers · fp32",
        "5 of 10 trials  4 pruned  1 failed",
        "best 0.9375 (trial 77)  ▁▄█ from 0.2500",
        "4.5 GiB of 12.0 GiB  cap 4.0 GiB",
        "0 KiB of 12.0 GiB",
        "not charged  1 did not fit, 1 duplicate",
        "trial 90 does not fit: a network",
        "trial 89 pruned: a network",
        "elapsed 1:02",
        "left about",
        "images/s 37.0k",
        " 3/12  0:34   0.6250     12.3k",
        "idle",
    ):
        assert said in shown


@pytest.mark.parametrize(
    ("images", "said"),
    [(None, " 3/12  0:36   0.6250"), (500, " 3/12 +40 %  0:36   0.6250"), (1250, " 3/12 +99 %")],
)
def test_a_row_tells_how_far_its_epoch_is_as_soon_as_that_is_known(images, said):
    state = busy_state()
    if images:
        state.add(ImagesSeen(number=1, epochs=3, images=images, of=1250), 3.0)
    (row,) = [line for line in lines_of(frame(state, 4.0, 80, 24)) if line.split()[:2] == ["1", "1"]]
    assert said in row


def test_a_row_stands_for_its_worker_however_trials_come_and_go():
    state = SearchState(started(workers=3), 0.0)
    state.add(trial_started(5, worker=2), 0.0)
    rows = lines_of(frame(state, 1.0, 80, 24))[-3:]
    assert [row.split()[:2] for row in rows] == [["0", "starting"], ["1", "starting"], ["2", "5"]]


def test_a_baseline_has_the_row_of_its_worker_and_is_no_trial():
    begins = OfBaseline(name="resnet20", event=trial_started(0, worker=1))
    learns = OfBaseline(name="resnet20", event=EpochTrained(number=0, epoch=epoch(7, 0.5)))
    ends = OfBaseline(name="resnet20", event=trial_ended(0, Outcome.COMPLETED, 0.9))
    state = SearchState(started(workers=2), 0.0)
    for event in (begins, learns):
        state.add(event, 1.0)
    (row,) = [line for line in lines_of(frame(state, 2.0, 80, 24)) if "baseline resnet20: " in line]
    assert "7/12" in row
    state.add(ends, 2.0)
    assert not any("resnet20" in line for line in lines_of(frame(state, 2.0, 80, 24)))
    assert (state.charged, state.best, state.ended) == (0, None, 0)


def test_a_wide_terminal_shows_the_memory_and_the_plan_of_each_trial():
    state = busy_state()
    assert "1.5 GiB  4 x 32 images" in "\n".join(lines_of(frame(state, 1.0, 120, 30), 120))
    assert "4 x 32 images" not in "\n".join(lines_of(frame(state, 1.0, 80, 30)))


def test_without_a_budget_the_reserved_memory_is_told():
    shown = "\n".join(lines_of(frame(busy_state(budgets=None, memory_cap=None), 1.0, 80, 24)))
    assert "4.5 GiB reserved" in shown
    assert "cap" not in shown


def test_without_any_word_of_memory_there_is_none():
    state = SearchState(started(), 0.0)
    state.add(trial_started(0), 0.0)
    assert "memory" not in "\n".join(lines_of(frame(state, 1.0, 120, 24), 120))


def test_the_last_reasons_come_first_and_give_way_to_workers():
    def reasons(workers, height):
        lines = lines_of(frame(busy_state(workers=workers), 1.0, 80, height))
        return [line.split()[1] for line in lines if line.startswith("trial ")]

    assert reasons(workers=2, height=40) == ["90", "89"]
    assert reasons(workers=1, height=16) == ["90", "89"]
    assert reasons(workers=2, height=16) == ["90"]
    assert reasons(workers=40, height=18) == []


def test_workers_without_room_are_counted():
    shown = lines_of(frame(busy_state(workers=40), 1.0, 80, 24))
    (line,) = [line for line in shown if "more workers" in line]
    numbers = [int(line.split()[0]) for line in shown if "a network" in line and line.split()[0].isdigit()]
    assert line.strip() == f"and {40 - len(numbers)} more workers"


def test_time_left_and_best_are_unknown_before_a_trial_ended():
    shown = "\n".join(lines_of(frame(SearchState(started(), 0.0), 5.0, 80, 24)))
    assert "best –" in shown
    assert "left –" in shown


def test_messages_are_shown_in_full_and_literally():
    lines = lines_of(frame_messages(busy_state("reason " * 40 + HOSTILE)))
    assert max(cell_len(line) for line in lines) <= 80
    words = " ".join(lines).split()
    assert words.count("reason") == 80  # a note and a failure
    assert LITERAL.split()[-1] in words
    assert "\x1b" not in "".join(lines)


def frame_messages(state):
    from rich.console import Group

    return Group(*message_lines(state.messages))


def test_without_colour_nothing_is_coloured(monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    shown = "\n".join(lines_of(frame(busy_state(), 1.0, 80, 24), color=True))
    codes = {code for found in re.findall(r"\x1b\[([0-9;]*)m", shown) for code in found.split(";")}
    assert codes <= {"0", "1", "2"}  # reset, bold, dim


@pytest.fixture
def terminal():
    return Console(
        file=io.StringIO(), width=80, height=24, force_terminal=True, highlight=False, color_system=None
    )


def wait_for(condition):
    while not condition():
        time.sleep(0.02)


def test_a_live_view_shows_a_search_and_gives_the_terminal_back(terminal):
    with LiveView(terminal) as watch:
        watch(started(trials=1, workers=1))
        watch(trial_started(0, network=HOSTILE))
        watch(EpochTrained(number=0, epoch=epoch(7)))
        wait_for(lambda: " 7/12" in terminal.file.getvalue())
        watch(trial_ended(1, Outcome.FAILED, reason="boom [/red]"))
        watch(trial_ended(0, Outcome.COMPLETED, 0.75))
        watch(SearchEnded(why="trials"))
    written = terminal.file.getvalue()
    last = ESCAPES.sub("", written[written.rindex("mlp-digits") :])
    assert "1 of 1 trial  0 pruned  1 failed" in last
    assert "best 0.7500 (trial 0)" in last
    assert "worker" not in last.splitlines()[-2]
    assert "Trial 1 failed: boom [/red]" in written
    assert written.count("\x1b[?25l") == written.count("\x1b[?25h") == 1  # the cursor
    assert "\x1b[2J" not in written
    assert "\x1b]0;" not in written


def test_an_error_on_the_way_leaves_the_terminal_in_order(terminal):
    def search():
        with LiveView(terminal) as watch:
            watch(started())
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        search()
    assert terminal.file.getvalue().endswith("\x1b[?25h")


def test_a_search_that_never_started_draws_nothing(terminal):
    with LiveView(terminal):
        pass
    assert terminal.file.getvalue() == ""


def test_what_the_process_prints_goes_above_the_picture(terminal, monkeypatch):
    class Screen(io.StringIO):
        def isatty(self):
            return True

    screen = Screen()
    terminal.file = screen
    monkeypatch.setattr(sys, "stdout", screen)
    with LiveView(terminal) as watch:
        watch(started())
        wait_for(lambda: "mlp-digits" in screen.getvalue())
        wait_for(lambda: sys.stdout is not screen)
        print("printed on the way")
    written = ESCAPES.sub("", screen.getvalue())
    assert "mlp-digits" in written[written.index("printed on the way") :]
    assert sys.stdout is screen


def test_after_a_resize_the_last_messages_and_the_picture_are_drawn_afresh(terminal):
    with LiveView(terminal) as watch:
        watch(started())
        for number in range(9):
            watch(Notice(text=f"message {number}"))
        wait_for(lambda: "message 8" in terminal.file.getvalue())
        before = len(terminal.file.getvalue())
        terminal.size = (60, 20)
        wait_for(lambda: "mlp-digits" in terminal.file.getvalue()[before:].partition("\n" * 20)[2])
    _, fresh, after = terminal.file.getvalue()[before:].partition("\n" * 20)
    assert fresh
    after = ESCAPES.sub("", after)
    assert re.findall(r"message \d", after) == ["message 6", "message 7", "message 8"]
    assert max(cell_len(line.rsplit("\r")[-1]) for line in after.splitlines()) <= 60
