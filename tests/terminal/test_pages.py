import io
from dataclasses import replace
from pathlib import Path

import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from rich.cells import cell_len
from rich.console import Console

from nas.api import Study, Trial
from nas.layers import Layer, LayerTable
from nas.plugins import Space
from nas.ranges import Parameter
from nas.study.outcome import Outcome
from nas.terminal.network import layer_rows, training_in_words
from nas.terminal.show import LISTED, study_page, trial_page
from nas.terminal.spaces import parameters_page, spaces_table
from nas.terminal.summary import one_line, summary_page
from tests.terminal.samples import HOSTILE, LITERAL, epoch

LAYERS = LayerTable(
    (
        Layer("conv1", "Conv2d", (64, 8, 8), 1664, 102400),
        Layer("relu1", "ReLU", (64, 8, 8), 0, 0),
        Layer("classifier", "Linear", (10,), 14714688, 15346630656),
    ),
    14716352,
    15346733056,
)


def text_of(page, width=80):
    console = Console(file=io.StringIO(), width=width, highlight=False)
    console.print(page, crop=False)
    return console.file.getvalue()


def assert_fits(page, width=80):
    shown = text_of(page, width)
    assert "\x1b" not in shown
    assert max(cell_len(line) for line in shown.splitlines()) <= width
    return shown


def row_of(shown, start):
    """The words of the first line that starts with a word."""
    return next(line.split() for line in shown.splitlines() if line.split()[:1] == [start])


# Networks -------------------------------------------------------------------------------------------------


def test_a_layer_table_gives_exact_numbers_and_totals():
    shown = assert_fits(layer_rows(LAYERS))
    assert row_of(shown, "conv1") == ["conv1", "Conv2d", "64×8×8", "1,664", "102,400"]
    assert row_of(shown, "relu1") == ["relu1", "ReLU", "64×8×8"]
    assert row_of(shown, "total") == ["total", "14,716,352", "15,346,733,056"]


@pytest.mark.parametrize(
    "name", ["features.block1.branch2.conv3.depthwise." * 5, HOSTILE.replace(" ", ""), "日本語" * 30]
)
def test_a_layer_of_any_name_takes_one_line(name):
    layer = Layer(name, name, (1024, 224, 224), 14714688, 15346630656)
    shown = assert_fits(layer_rows(LayerTable((layer,) * 3, 1, 1)))
    assert shown.count("15,346,630,656") == 3
    assert len(shown.splitlines()) == len(assert_fits(layer_rows(LAYERS)).splitlines())


@pytest.mark.parametrize(
    ("changes", "said", "unsaid"),
    [
        ({}, "adam, learning rate 0.00123 cosine, batch size 64, augmentation: none", "momentum"),
        ({"optimizer": "sgd"}, "momentum 0.9", "weight decay"),
        ({"warmup": 0.1}, "after a warm-up over 10% of all steps", "smoothing"),
        (
            {"weight_decay": 1e-5, "label_smoothing": 0.1},
            "weight decay 1e-05, label smoothing 0.1",
            "warm-up",
        ),
        ({"augmentation": ["shift", "flip"]}, "augmentation: shift, flip", "none"),
    ],
)
def test_training_is_told_without_settings_of_no_effect(changes, said, unsaid):
    settings = {
        "batch_size": 64,
        "optimizer": "adam",
        "learning_rate": 0.001234,
        "weight_decay": 0.0,
        "momentum": 0.9,
        "schedule": "cosine",
        "warmup": 0.0,
        "label_smoothing": 0.0,
        "augmentation": [],
    }
    words = training_in_words(settings | changes)
    assert said in words
    assert unsaid not in words


# The end of a search --------------------------------------------------------------------------------------


def summary_of(study: Study) -> str:
    return text_of(summary_page(study, study.best, layer_rows(LAYERS)))


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
    shown = assert_fits(summary_page(study := make_study(folder=Path("studies")), study.best, ""))
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


def test_a_summary_without_a_completed_trial_says_so(make_study):
    study = make_study([(Outcome.FAILED, None, "boom")])
    shown = text_of(summary_page(study, study.best, ""))
    assert "No trial was completed" in shown
    assert "1 failed" in shown
    assert "load_model" not in shown
    assert one_line(study, study.best) == "mlp-digits: no trial was completed; trials: 1 failed"


def test_the_quiet_summary_is_one_line(study):
    weights = study.store.folder.parent / "mlp-digits" / "weights" / "trial-00001.safetensors"
    assert one_line(study, study.best) == (
        f"mlp-digits: best validation accuracy 0.8750, trial 1, weights in {weights};"
        " trials: 2 completed, 1 pruned, 1 failed, 1 interrupted"
    )


# Studies and trials ---------------------------------------------------------------------------------------


def test_a_study_lists_its_trials_and_marks_the_best(study):
    shown = assert_fits(study_page(study))
    assert [line.split()[1] for line in shown.splitlines() if line.strip().startswith("*")] == ["1"]
    assert row_of(shown, "0")[:6] == ["0", "completed", "0.7500", "3", "123k", "0:00"]
    assert "flat: no better" in " ".join(row_of(shown, "2"))
    assert "OutOfMemoryError:" in row_of(shown, "3")
    assert "2 completed, 1 pruned, 1 failed, 1 interrupted" in shown


def test_an_empty_study_is_listed(make_study):
    assert "none" in assert_fits(study_page(make_study([])))


def test_of_many_trials_the_best_and_the_latest_are_listed(make_study):
    study = make_study([(Outcome.COMPLETED, number / 100, None) for number in [90, 10, 80]])
    (first, bad, good) = study.store.trials()
    records = [
        replace(first, number=0),
        *(replace(bad, number=n) for n in range(1, 200)),
        replace(good, number=200),
    ]
    study.store.trials = lambda: records
    shown = assert_fits(study_page(study))
    numbers = [
        int(line.split()[0]) for line in shown.replace("*", " ").splitlines() if line.strip()[:1].isdigit()
    ]
    assert [number for number in numbers if number != 201][:LISTED] == [*range(LISTED // 2), *range(181, 201)]
    assert "The best and the latest of 201 trials; all: nas show mlp-digits --json" in shown


def page_of(trial: Trial) -> str:
    return text_of(trial_page(trial, layer_rows(LAYERS)))


def test_a_trial_is_shown_in_full(study):
    trial = study.trial(1)
    shown = page_of(trial)
    for said in (
        "Trial 1 completed, validation accuracy 0.8750",
        "123k parameters, 1.41M multiply-adds",
        "14,716,352",
        "Validation accuracy  ▁▅█  0.1000 to 0.3000",
        "trial-00001.safetensors",
        *trial.params,
    ):
        assert said in shown
    assert row_of(shown, "2") == ["2", "1.5", "1.25", "0.2000", "0.00123", "1.00k", "600", "MiB", "4.2", "s"]
    assert row_of(shown, "seed") == ["seed", "7"]


def test_a_long_reason_is_shown_in_full_and_literally(make_study):
    reason = "because " * 40 + HOSTILE
    shown = assert_fits(trial_page(make_study([(Outcome.FAILED, None, reason)]).trial(0), ""))
    assert shown.split().count("because") == 40
    assert LITERAL.split()[-1] in shown


def test_a_long_curve_keeps_its_first_best_and_last_epoch(study):
    epochs = tuple(epoch(number, 0.9 if number == 131 else 0.5) for number in range(1, 201))
    trial = Trial(study.store, replace(study.store.trials()[1], epochs=epochs))
    shown = assert_fits(trial_page(trial, ""), 200)
    numbers = [int(line.split()[0]) for line in shown.splitlines() if line.endswith(" s")]
    assert {1, 131, 200} <= set(numbers)
    assert len(numbers) < 30


def test_what_a_trial_lacks_is_left_out(study):
    record = study.store.trials()[0]
    bare = type(record)(number=0, outcome=Outcome.WAITING, params={}, retry_of=4)
    shown = assert_fits(trial_page(Trial(study.store, bare), ""))
    assert row_of(shown, "repeats") == ["repeats", "trial", "4"]
    assert "None" not in shown


# Search spaces --------------------------------------------------------------------------------------------


def test_search_spaces_are_listed_with_what_they_are(mlp: Space):
    shown = assert_fits(spaces_table([mlp, replace(mlp, name=HOSTILE, summary=HOSTILE * 3)]))
    assert mlp.summary.split()[0] in row_of(shown, "mlp")
    assert r"\x1b[2J" in "".join(shown.split())


@pytest.mark.parametrize(
    ("name", "distribution", "kind", "values"),
    [
        ("log2_units", IntDistribution(3, 6), "int", "2^3 … 2^6 = 8 … 64"),
        ("layers", IntDistribution(1, 3), "int", "1 … 3"),
        ("kernel_size", IntDistribution(3, 7, step=2), "int", "3 … 7, step 2"),
        ("units", IntDistribution(1, 512, log=True), "int", "1 … 512, logarithmic"),
        ("dropout", FloatDistribution(0, 0.5, step=0.1), "float", "0 … 0.5, step 0.1"),
        ("rate", FloatDistribution(1e-5, 0.1, log=True), "float", "1e-05 … 0.1, logarithmic"),
        ("momentum", FloatDistribution(0.5, 0.99), "float", "0.5 … 0.99"),
        ("pooling", CategoricalDistribution(["max", None, HOSTILE[:5]]), "choice", "max, None, [bold"),
    ],
)
def test_a_parameter_shows_its_range(mlp: Space, name, distribution, kind, values):
    shown = assert_fits(parameters_page(mlp, [Parameter(name, distribution, 1.0)]))
    assert " ".join(row_of(shown, name)) == f"{name} {kind} {values} always"


def test_a_conditional_parameter_tells_how_often_it_is_asked(mlp: Space):
    shown = assert_fits(parameters_page(mlp, [Parameter("rate", FloatDistribution(0, 1), 0.25)]))
    assert row_of(shown, "rate")[-2:] == ["in", "25%"]
