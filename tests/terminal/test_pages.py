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
from nas.terminal.comparison import comparison_page
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
    content = study.to_json() | {"baselines": baselines}
    study.to_json = lambda: content
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
    shown = assert_fits(study_page(study, 80))
    assert [line.split()[1] for line in shown.splitlines() if line.strip().startswith("*")] == ["1"]
    assert row_of(shown, "0")[:6] == ["0", "completed", "0.7500", "3", "123k", "600"]
    assert "flat: no better" in " ".join(row_of(shown, "2"))
    assert "OutOfMemoryError:" in row_of(shown, "3")
    assert "2 completed, 1 pruned, 1 failed, 1 interrupted" in shown


def test_trials_that_were_not_trained_are_listed_with_their_reason_and_counted(make_study):
    endings = [
        (Outcome.COMPLETED, 0.5, None),
        (Outcome.DOES_NOT_FIT, None, "needs 9 GiB"),
        (Outcome.DUPLICATE, None, "the same as trial 0"),
    ]
    shown = assert_fits(study_page(make_study(endings), 80))
    assert "does not fit" in " ".join(row_of(shown, "1"))
    assert "needs 9 GiB" in " ".join(row_of(shown, "1"))
    assert "the same as trial 0" in " ".join(row_of(shown, "2"))
    assert "1 completed, 1 did not fit, 1 duplicate" in shown


@pytest.mark.parametrize("width", [60, 80, 100, 200])
def test_a_list_tells_the_memory_and_where_there_is_room_its_prediction_and_the_time(study, width):
    shown = assert_fits(study_page(study, width), width)
    headings = next(line.split() for line in shown.splitlines() if line.strip().startswith("trial"))
    assert "memory" in headings
    assert ("epochs" in headings) == ("params" in headings) == (width > 60)
    assert ("predicted" in headings) == ("time" in headings) == (width >= 100)
    if width >= 100:
        assert row_of(shown, "0")[5:9] == ["600", "MiB", "200", "MiB"]  # context is not measured


def test_a_list_without_memory_has_the_time(make_study):
    study = make_study([(Outcome.FAILED, None, "boom")])
    (record,) = study.store.trials()
    study.store.trials = lambda: [replace(record, epochs=(), predicted_memory=None)]
    shown = assert_fits(study_page(study, 80))
    assert "memory" not in shown
    assert "0:00" in row_of(shown, "0")


def test_the_best_trials_are_drawn(make_study):
    study = make_study([(Outcome.COMPLETED, number / 10, None) for number in range(6)])
    chart = assert_fits(study_page(study, 80)).partition("Validation accuracy\n")[2]
    assert [number for number in range(6) if f"trial {number}" in chart] == [2, 3, 4, 5]


def test_an_empty_study_is_listed(make_study):
    assert "none" in assert_fits(study_page(make_study([]), 80))


def test_of_many_trials_the_best_and_the_latest_are_listed(make_study):
    study = make_study([(Outcome.COMPLETED, number / 100, None) for number in [90, 10, 80]])
    (first, bad, good) = study.store.trials()
    records = [
        replace(first, number=0),
        *(replace(bad, number=n) for n in range(1, 200)),
        replace(good, number=200),
    ]
    study.store.trials = lambda: records
    shown = assert_fits(study_page(study, 80))
    rows = shown.partition("The best")[0].replace("*", " ").splitlines()
    numbers = [int(line.split()[0]) for line in rows if line.strip()[:1].isdigit()]
    assert [number for number in numbers if number != 201][:LISTED] == [*range(LISTED // 2), *range(181, 201)]
    assert "The best and the latest of 201 trials; all: nas show mlp-digits --all" in shown


def test_every_trial_of_a_long_study_is_listed_when_asked_for(make_study):
    study = make_study([(Outcome.COMPLETED, 0.5, None)])
    (record,) = study.store.trials()
    study.store.trials = lambda: [replace(record, number=number) for number in range(201)]
    shown = assert_fits(study_page(study, 80, everything=True))
    assert all(row_of(shown, str(number)) for number in range(1, 201))
    assert "nas show" not in shown


# Comparisons ----------------------------------------------------------------------------------------------


def rows_of(page) -> dict[str, tuple[bool, str]]:
    """By name: whether a row is marked, and its values."""
    lines = [line for line in text_of(page).splitlines() if line[:1] in " ≠" and len(line) > 2]
    return {line[3:27].strip(): (line[0] == "≠", " ".join(line[27:].split())) for line in lines}


def two_trials(study, **changes):
    """Trial 0, and the same with another width, learning rate and memory."""
    first = replace(study.store.trials()[0], params={"log2_units": 6, "layers": 1})
    architecture = first.proposal["architecture"] | {"fc_units": [512, 256], "batch_norm": False}
    training = first.proposal["training"] | {"learning_rate": 0.5}
    other = {"architecture": architecture, "training": training}
    params = {"log2_units": 9, "layers": 1}
    return first, replace(first, number=12, proposal=other, params=params, **changes)


def test_trials_are_compared_side_by_side_and_what_differs_is_marked(study):
    page = comparison_page(two_trials(study, value=0.25, num_parameters=999))
    assert_fits(page)
    rows = rows_of(page)
    first = study.store.trials()[0].proposal
    assert rows["validation accuracy"] == (True, "0.7500 0.2500")
    assert rows["parameters"] == (True, "123k 999")
    assert rows["outcome"] == (False, "completed completed")
    assert rows["memory predicted"] == (False, "200 MiB 200 MiB")
    assert rows["memory measured"] == (False, "600 MiB 600 MiB")
    assert rows["batches"] == (False, "4 x 32 images, 4 x 32 images, checkpoints")
    units = "-".join(str(each) for each in first["architecture"]["fc_units"])
    assert rows["fc units"] == (True, f"{units} 512-256")
    assert rows["batch size"] == (
        False,
        f"{first['training']['batch_size']} {first['training']['batch_size']}",
    )
    assert rows["learning rate"] == (True, f"{first['training']['learning_rate']:.3g} 0.5")


def test_of_the_searchs_parameters_those_that_differ_are_compared(study):
    rows = rows_of(comparison_page(two_trials(study)))
    assert rows["log2 units"] == (True, "6 9")
    assert "layers" not in rows


def test_a_comparison_draws_all_curves_in_one_chart(study):
    curves = {0: [0.1, 0.5, 0.75], 12: [0.2, 0.3, 0.25]}
    records = [
        replace(record, epochs=tuple(epoch(n, value) for n, value in enumerate(curves[record.number], 1)))
        for record in two_trials(study)
    ]
    chart = assert_fits(comparison_page(records)).partition("Validation accuracy\n")[2]
    assert "0.7500┤" in chart
    assert "trial 0" in chart
    assert "trial 12" in chart


@pytest.mark.parametrize("number", [2, 3, 6])
def test_trials_that_lack_much_are_compared_too(study, number):
    bare = type(study.store.trials()[0])(number=1, outcome=Outcome.WAITING, params={}, reason=HOSTILE)
    shown = assert_fits(comparison_page([study.store.trials()[0], *[bare] * (number - 1)]))
    assert "None" not in shown


# Trials ---------------------------------------------------------------------------------------------------


def page_of(trial: Trial) -> str:
    return text_of(trial_page(trial, layer_rows(LAYERS)))


def test_a_trial_is_shown_in_full(study):
    trial = study.trial(1)
    shown = page_of(trial)
    for said in (
        "Trial 1 completed, validation accuracy 0.8750",
        "123k parameters, 1.41M multiply-adds",
        "14,716,352",
        "0.3000┤",
        "batches    4 x 32 images, checkpoints",
        "predicted  300 MiB, most of it activations 200 MiB, context 100 MiB",
        "measured   live tensors 600 MiB, whole process 600 MiB",
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
