import io
import os
import pkgutil
import subprocess
import sys
from contextlib import contextmanager

import pytest
from rich.console import Console
from torch import nn

from nas.views import terminal
from nas.views.terminal import show
from nas.views.terminal.comparison import comparison_page
from nas.views.terminal.live import LiveView
from nas.views.terminal.progress import DecodeProgress
from nas.views.terminal.summary import one_line, summary_page
from nas.views.terminal.trials import study_page, trial_page
from tests.views.terminal.samples import HOSTILE, LITERAL, started


def test_nothing_imports_torch_before_a_network_is_shown():
    pages = [module.name for module in pkgutil.iter_modules(terminal.__path__, "nas.views.terminal.")]
    check = f"import {', '.join(pages)}, sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", check]).returncode == 0


@contextmanager
def real_terminal(encoding="utf-8", **variables):
    """Standard output on a pseudo-terminal."""
    pty = pytest.importorskip("pty")
    leader, follower = pty.openpty()
    with pytest.MonkeyPatch.context() as patch, os.fdopen(follower, "w", encoding=encoding) as stream:
        for name, value in ({"TERM": "xterm"} | variables).items():
            patch.setenv(name, value)
        patch.setattr(sys, "stdout", stream)
        yield
    os.close(leader)


@pytest.mark.parametrize(
    ("settings", "live"),
    [({}, True), ({"NO_COLOR": "1"}, True), ({"TERM": "dumb"}, False), ({"encoding": "ascii"}, False)],
)
def test_a_terminal_that_can_redraw_gets_a_live_view(settings, live):
    with real_terminal(**settings):
        view, progress = terminal.choose_view(), terminal.decode_progress()
    assert isinstance(view, LiveView) is live
    assert isinstance(progress, DecodeProgress) is live


def test_quiet_is_quiet_even_on_a_terminal():
    with real_terminal():
        view, progress = terminal.choose_view(quiet=True), terminal.decode_progress(quiet=True)
    assert not isinstance(view, LiveView)
    assert not isinstance(progress, DecodeProgress)


@pytest.mark.parametrize("variables", [{}, {"FORCE_COLOR": "1"}])
def test_a_pipe_gets_plain_lines(capsys, monkeypatch, variables):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with terminal.choose_view() as view, terminal.decode_progress() as progress:
        view(started())
    out, _ = capsys.readouterr()
    assert out.startswith("mlp-digits: ")
    assert "\x1b" not in out
    assert progress is None


def test_quiet_writes_nothing(capsys):
    with terminal.choose_view(quiet=True) as view:
        view(started())
    assert capsys.readouterr() == ("", "")


def test_the_decoding_bar_vanishes_with_the_last_image():
    console = Console(file=io.StringIO(), force_terminal=True, width=80, height=24)
    with DecodeProgress(console) as progress:
        for done in range(0, 400, 50):
            progress(done, 1234)
        progress(1234, 1234)
        written = console.file.getvalue()
        assert written.endswith("\x1b[2K")  # before anything else is drawn
    assert "/1234" in written
    assert console.file.getvalue() == written


def test_decoding_that_stops_short_gives_the_terminal_back():
    console = Console(file=io.StringIO(), force_terminal=True, width=80, height=24)
    with DecodeProgress(console) as progress:
        progress(1, 10)
    assert "\x1b[?25h" in console.file.getvalue()


def test_pages_are_printed_whole_into_a_pipe(study, capsys):
    show(summary_page(study, study.trials))
    show(study_page(study, 80))
    show(trial_page(study.trial(3)))
    show(comparison_page([study.trial(number).record for number in (0, 1)]))
    out, _ = capsys.readouterr()
    assert "trial 0" in out
    assert out.count("classifier") == 2  # the layers of the real network, in the summary and of the trial
    assert "OutOfMemoryError: tried to allocate 2 GiB" in out
    assert "\x1b" not in out


def test_a_network_whose_space_has_changed_is_told_not_guessed(study, capsys, monkeypatch, mlp):
    monkeypatch.setattr(mlp.module, "suggest", lambda trial, data: trial.suggest_int("another", 0, 1))
    show(trial_page(study.trial(0)))
    assert "cannot be rebuilt" in " ".join(capsys.readouterr().out.split())


def test_a_network_that_cannot_be_followed_is_said(study, capsys, monkeypatch):
    wrong = nn.Linear(3, 3)  # as a space's author may get it
    monkeypatch.setattr("nas.final.rebuilt.network_of", lambda store, record: wrong)
    show(trial_page(study.trial(3)))
    out = capsys.readouterr().out
    assert "The layers cannot be shown: " in out
    assert "OutOfMemoryError: tried to allocate 2 GiB" in out


def test_output_of_a_small_alphabet_replaces_what_it_lacks(study, monkeypatch):
    pipe = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", pipe)
    show(study_page(study, 80))
    pipe.flush()
    assert b"0.8750" in pipe.buffer.getvalue()
    assert b"?" in pipe.buffer.getvalue()  # for the dash of a missing value


def test_a_hostile_study_name_is_printed_literally(study, capsys, monkeypatch):
    monkeypatch.setattr(study, "name", HOSTILE)
    show(study_page(study, 80))
    print(one_line(study, study.trials))
    out = capsys.readouterr().out
    assert out.count(LITERAL.partition(" ")[0]) == 2
    assert "\x1b" not in out
