"""`nas show` and `nas watch` as they are typed."""

import json
import os
import signal
import subprocess
import sys

import pytest

from nas import cli
from nas.study.lock import study_lock
from nas.study.outcome import Outcome
from tests.grids import first_of


@pytest.fixture
def nas(monkeypatch, capsys):
    """Run a command on a study in this process: its standard output."""

    def run(study, *arguments):
        folder = study.store.folder.parent
        monkeypatch.setattr(sys, "argv", ["nas", *map(str, arguments), "--folder", str(folder)])
        with pytest.raises(SystemExit) as exit:
            cli.main()
        out, err = capsys.readouterr()
        assert (exit.value.code or 0, err) == (0, "")
        return out

    return run


@pytest.mark.parametrize(
    ("arguments", "said", "unsaid"),
    [
        (["show"], ["trial", "2 completed, 1 pruned"], ["seed"]),
        (["show", "--trial", 1], ["Trial 1 completed", "seed", "classifier"], ["≠"]),
        (["show", "--trial", 0, "--trial", 1], ["trial 0", "trial 1", "≠ "], ["seed"]),
        (["show", "--trial", 1, "--trial", 1], ["Trial 1 completed"], ["≠"]),
        (["watch"], ["No search of study 'mlp-digits' is running", "Best network: trial 1"], ["\x1b"]),
    ],
)
def test_what_a_person_asks_for_is_shown(nas, study, arguments, said, unsaid):
    out = nas(study, *arguments)
    assert all(each in out for each in said)
    assert not any(each in out for each in unsaid)


def test_json_has_one_trial_or_a_list_of_those_asked_for(nas, study):
    everything = json.loads(nas(study, "show", "--json"))
    alone = [trial | {"recalls": []} for trial in everything["trials"]]
    assert json.loads(nas(study, "show", "--json", "--trial", 3)) == alone[3]
    assert json.loads(nas(study, "show", "--json", "--trial", 3, "--trial", 1)) == [alone[3], alone[1]]


def test_all_lists_every_trial_of_a_long_study(nas, make_study):
    study = make_study([(Outcome.DOES_NOT_FIT, None, "too big")] * 45)
    assert "the latest of 45 trials" in nas(study, "show")
    assert nas(study, "show", "--all").count("too big") == 45


def watcher(study):
    """`nas watch` in a process of its own, into a pipe."""
    command = [sys.executable, "-m", "nas", "watch", "--folder", str(study.store.folder.parent)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such signal")
@pytest.mark.parametrize("how", first_of(1, [signal.SIGTERM, signal.SIGINT]))
def test_a_watch_ends_with_the_summary_when_it_is_interrupted(make_study, how):
    study = make_study()
    with study_lock(study.store.storage, study.name):
        process = watcher(study)
        first = process.stdout.readline()
        process.send_signal(how)
        rest, err = process.communicate()
    assert first.startswith("mlp-digits: mlp on digits")
    assert "Best network: trial 1" in rest
    assert "Stopped" not in rest  # the search goes on
    assert (process.returncode, err) == (0, "")


def test_a_watch_ends_with_the_summary_when_the_search_ends(make_study):
    study = make_study()
    with study_lock(study.store.storage, study.name):
        process = watcher(study)
        assert process.stdout.readline()
    rest, err = process.communicate()
    assert "Stopped. Run the command again to go on" in rest
    assert "Best network: trial 1" in rest
    assert (process.returncode, err) == (0, "")
