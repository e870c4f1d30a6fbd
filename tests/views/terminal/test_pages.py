"""What `nas inspect`, `nas show --trial` and `nas spaces` print: networks, a trial, search spaces."""

import re
from dataclasses import replace
from types import SimpleNamespace

import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from PIL import Image

from nas.api.trial import Trial
from nas.datasets.look import Look
from nas.network.layers import Layer, LayerTable
from nas.space.load import Space
from nas.space.parameters import Parameter
from nas.study.outcome import Outcome
from nas.views.terminal import show
from nas.views.terminal.cost_pages import inspection_page, versus_page
from nas.views.terminal.dataset import data_page
from nas.views.terminal.export_pages import bench_page
from nas.views.terminal.network import layer_rows, training_in_words
from nas.views.terminal.space_pages import parameters_page, spaces_table
from nas.views.terminal.trials import trial_page
from tests.views.terminal.samples import HOSTILE, LAYERS, LITERAL, assert_fits, epoch, row_of, text_of


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


def no_layers(trial: Trial) -> str:
    return ""


def page_of(trial: Trial) -> str:
    return text_of(trial_page(trial, lambda trial: layer_rows(LAYERS)))


@pytest.mark.parametrize("name", ["[unknown]", "dog [small]", "[/]", ":smile:", "[red]x"])
def test_names_with_brackets_are_shown_as_they_are_by_every_page(capsys, name):
    layer = replace(LAYERS.layers[0], name=name, kind=name)
    counts = dict.fromkeys(("train", "val", "test"), (3, 3))
    info = SimpleNamespace(name=name, shape=(1, 8, 8), num_classes=2, augmentations=(), bits=8)
    data = SimpleNamespace(
        classes=(name, "cat"),
        class_counts=counts,
        counts=dict.fromkeys(counts, 6),
        info=info,
        imbalance=1.0,
        notes=(name,),
    )
    parts = SimpleNamespace(parts={}, total=0)
    inspection = SimpleNamespace(
        layers=[SimpleNamespace(**vars(layer), output_bytes=1)],
        parameters=1,
        multiply_adds=1,
        training_memory=parts,
        inference_memory=1,
    )
    cost = SimpleNamespace(inspection=inspection, batch_size=1, plan=None, epoch_seconds=1.5, learned_from=3)
    pages = {
        data_page(data, Look(copies=(), flat=(), sizes={}, resized=None)): 3,
        inspection_page(name, cost): 3,
        versus_page((name, name), (cost, cost)): 2,
        bench_page({name: {1: 0.1}}, {name: name}, 1, name): 4,
        layer_rows(LayerTable((layer,), 1, 1)): 2,
        spaces_table({name: name}): 2,
    }
    for page, times in pages.items():
        assert text_of(page, 200).count(name) == times
    for page in (spaces_table({name: name}), f"{name} {name}"):
        show(page)
        assert capsys.readouterr().out.count(name) == 2


def test_a_trial_is_shown_in_full(study):
    trial = study.trial(1)
    shown = page_of(trial)
    for said in (
        "Trial 1 completed, validation accuracy 0.8750",
        "123k parameters, 1.41M multiply-adds",
        "14,716,352",
        "0.3000┤",
        "batches                    4 x 32 images, checkpoints\n",
        "predicted for the process  300 MiB\n– context                  100 MiB\n",
        "– activations              200 MiB\n",
        "measured: tensors          600 MiB\nmeasured: the process      600 MiB\n",
        "trial-00001.safetensors",
        *trial.params,
    ):
        assert said in shown
    assert row_of(shown, "2") == ["2", "1.5", "1.25", "0.2000", "0.00123", "1.00k", "600", "MiB", "4.2", "s"]
    assert row_of(shown, "seed") == ["seed", "7"]


def test_a_long_reason_is_shown_in_full_and_literally(make_study):
    reason = "because " * 40 + HOSTILE
    shown = assert_fits(trial_page(make_study([(Outcome.FAILED, None, reason)]).trial(0), no_layers))
    assert shown.split().count("because") == 40
    assert LITERAL.split()[-1] in shown


def test_a_long_curve_keeps_its_first_best_and_last_epoch(study):
    epochs = tuple(epoch(number, 0.9 if number == 131 else 0.5) for number in range(1, 201))
    trial = Trial(study.store, replace(study.store.trials()[1], epochs=epochs))
    shown = assert_fits(trial_page(trial, no_layers), 200)
    numbers = [int(line.split()[0]) for line in shown.splitlines() if re.match(r" *\d+ .* s$", line)]
    assert {1, 131, 200} <= set(numbers)
    assert len(numbers) < 30


def test_what_a_trial_lacks_is_left_out(study):
    record = study.store.trials()[0]
    bare = type(record)(number=0, outcome=Outcome.WAITING, params={}, retry_of=4)
    shown = assert_fits(trial_page(Trial(study.store, bare), no_layers))
    assert row_of(shown, "repeats") == ["repeats", "trial", "4"]
    assert "took" not in shown
    assert "None" not in shown


def test_search_spaces_are_listed_with_what_they_are(mlp: Space):
    shown = assert_fits(spaces_table({"mlp": mlp.summary, HOSTILE: HOSTILE * 3}))
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


@pytest.mark.parametrize("columns", ["20", "80", "0"])
def test_counts_are_shown_beside_class_names_of_any_length(nas, tmp_path, monkeypatch, columns):
    for name in ("00000_Animalia_Annelida_Clitellata_Haplotaxida_Lumbricidae_Lumbricus_terrestris", "b"):
        (tmp_path / "pets" / name).mkdir(parents=True)
        for index in range(12):
            Image.new("RGB", (4, 4), (index, 0, 0)).save(tmp_path / "pets" / name / f"{index}.png")
    monkeypatch.setenv("COLUMNS", columns)
    code, out, _ = nas("data", "./pets")
    assert code == 0
    rows = [line.split()[-3:] for line in out.splitlines()]
    assert ["train", "val", "test"] in rows
    counts = [row for row in rows if len(row) == 3 and all(cell.isdecimal() for cell in row)]
    assert len(counts) == 3, "of two classes and in all"
    assert counts[0] == counts[1]
