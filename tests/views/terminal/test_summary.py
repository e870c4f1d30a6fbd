"""What a search prints at its end."""

from dataclasses import replace
from pathlib import Path

import pytest

from nas.api.study import Study
from nas.study.outcome import Outcome
from nas.views.terminal.network import layer_rows
from nas.views.terminal.summary import one_line, summary_page
from tests.views.terminal.samples import HOSTILE, LAYERS, assert_fits, row_of, text_of


def summary_of(study: Study) -> str:
    return text_of(summary_page(study, study.trials, lambda trial: layer_rows(LAYERS)))


def test_a_summary_tells_the_best_network_and_what_its_accuracy_is(study):
    shown = summary_of(study)
    for said in (
        "trial 1, validation accuracy 0.8750",
        "270 validation images",
        "No test image was used",
        "14,716,352",
        "learning rate",
        "3 epochs, fp32",
        "2 completed, 1 pruned, 1 failed, 1 interrupted",
    ):
        assert said in shown


def test_a_summary_says_where_everything_lies_and_what_to_do_next(study):
    shown, folder = summary_of(study), study.store.folder.parent
    for said in (
        f"sqlite:///{folder.as_posix()}/nas.db",
        str(folder / "mlp-digits" / "weights" / "trial-00001.safetensors"),
        f"nas show mlp-digits --trial 1 --folder {folder}",
        f"nas search --study mlp-digits --folder {folder}",
        f"nas.load_study('mlp-digits', folder='{folder}').best.load_model()",
    ):
        assert said in shown.splitlines() or any(line.endswith(said) for line in shown.splitlines())


def test_in_the_usual_folder_commands_are_short(make_study, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shown = assert_fits(
        summary_page(study := make_study(folder=Path("studies")), study.trials, lambda trial: "")
    )
    assert "nas show mlp-digits --trial 1\n" in shown
    assert "nas.load_study('mlp-digits').best.load_model()\n" in shown


@pytest.mark.parametrize(("trained", "go_on"), [(29, ""), (30, " --trials 60")])
def test_to_go_on_takes_more_trials_only_after_the_last(make_study, trained, go_on):
    study = make_study([(Outcome.COMPLETED, 0.5, None)])
    records = [replace(record, number=n) for record in study.store.trials() for n in range(trained)]
    study.store.trials = lambda: records
    assert f"nas search --study mlp-digits{go_on} --folder" in summary_of(study)


def test_a_study_name_is_quoted_for_the_shell(make_study):
    assert "nas show 'my study; [b]' --trial 1" in summary_of(make_study(name="my study; [b]"))


def test_a_summary_tells_the_memory_cap_and_how_many_proposals_did_not_fit(make_study):
    study = make_study([(Outcome.COMPLETED, 0.5, None), *[(Outcome.DOES_NOT_FIT, None, "too big")] * 3])
    assert "memory cap" not in summary_of(study)
    study.store.row["memory_cap"] = 4 * 2**30
    assert "memory cap  4.0 GiB for one trial; 3 of 4 proposals did not fit\n" in summary_of(study)


def test_a_summary_tells_how_far_the_best_lies_above_each_baseline(make_study):
    study = make_study([(Outcome.COMPLETED, 0.875, None), (Outcome.PRUNED, None, "flat")])
    baselines = [
        {"name": "resnet20", "value": 0.75, "num_parameters": 272_474, "trials": 1},
        {"name": "random start", "value": 0.9, "num_parameters": 999, "trials": 10},
        {"name": HOSTILE[:6], "value": None, "num_parameters": None, "trials": 1},
    ]
    study.compared = lambda records: baselines
    shown = summary_of(study)
    assert "Gain of the best of 2 trials above" in shown
    for said in (
        "resnet20 0.7500 +0.1250 272k parameters, 1 trial",
        "random start 0.9000 -0.0250 999 parameters, 10 trials",
        "[bold] – – – parameters, 1 trial",
    ):
        assert " ".join(row_of(shown, said.split()[0])) == said


def test_a_summary_without_a_completed_trial_says_so(make_study):
    study = make_study([(Outcome.FAILED, None, "boom")])
    shown = text_of(summary_page(study, study.trials, lambda trial: ""))
    assert "No trial was completed" in shown
    assert "1 failed" in shown
    assert "load_model" not in shown
    assert one_line(study, study.trials) == "mlp-digits: no trial was completed; trials: 1 failed"


@pytest.mark.parametrize("quiet", [True, False])
def test_a_summary_tells_of_one_moment(make_study, monkeypatch, quiet):
    study, looks = make_study(), []
    read = study.store.trials
    monkeypatch.setattr(study.store, "trials", lambda since=0: looks.append(since) or read(since))
    assert "0.8750" in (one_line(study, study.trials) if quiet else summary_of(study))
    assert looks == [0]


def test_the_quiet_summary_is_one_line(study):
    weights = study.store.folder.parent / "mlp-digits" / "weights" / "trial-00001.safetensors"
    assert one_line(study, study.trials) == (
        f"mlp-digits: best validation accuracy 0.8750, trial 1, weights in {weights};"
        " trials: 2 completed, 1 pruned, 1 failed, 1 interrupted"
    )
