"""Events, epochs, layers and hostile text that tests of the terminal share; and how they read a page."""

import io
from typing import Any

from rich.cells import cell_len
from rich.console import Console

from nas.events import SearchStarted, TrialEnded, TrialStarted
from nas.network.layers import Layer, LayerTable
from nas.recipe import Recipe
from nas.study.outcome import Outcome
from nas.training.epoch import Epoch

HOSTILE = "[bold]x[/bold]\x1b[2J\x1b]0;title\x07\rback\nnext\tline\u202egnp 日本 :smile:"
"""Markup, control characters, line ends, an override of direction, wide letters and an emoji's code."""

LITERAL = r"[bold]x[/bold]\x1b[2J\x1b]0;title\x07\rback\nnext\tline\u202egnp 日本 :smile:"
"""The same as a person shall read it."""

LAYERS = LayerTable(
    (
        Layer("conv1", "Conv2d", (64, 8, 8), 1664, 102400),
        Layer("relu1", "ReLU", (64, 8, 8), 0, 0),
        Layer("classifier", "Linear", (10,), 14714688, 15346630656),
    ),
    14716352,
    15346733056,
)

GIB = 2**30

INFO: dict[str, Any] = {
    "name": "digits",
    "shape": [1, 8, 8],
    "num_classes": 10,
    "num_train": 1257,
    "num_val": 270,
    "augmentations": ["shift", "cutout"],
}


def started(
    *,
    study: str = "mlp-digits",
    workers: int = 2,
    device: str = "cuda:0",
    notes: tuple[str, ...] = (),
    counts: dict[str, int] | None = None,
    best: tuple[int, float] | None = None,
    curve: tuple[float, ...] = (),
    memory_cap: int | None = None,
    budgets: dict[str, int] | None = None,
    seconds: float = 0.0,
    **settings: Any,
) -> SearchStarted:
    defaults: dict[str, Any] = {"space": "mlp", "trials": 10, "epochs": 12, "precision": "fp32"}
    recipe = Recipe.load(**defaults | settings)
    return SearchStarted(
        study=study,
        recipe=recipe,
        data={"info": INFO, "notes": list(notes)},
        device=device,
        workers=workers,
        counts=counts or {},
        best=best,
        curve=curve,
        memory_cap=memory_cap,
        budgets=budgets or {},
        seconds=seconds,
    )


def trial_started(
    number: int, worker: int = 0, network: str = "a network", retry_of: int | None = None, **more: Any
) -> TrialStarted:
    return TrialStarted(number=number, worker=worker, network=network, retry_of=retry_of, **more)


def trial_ended(
    number: int,
    outcome: Outcome,
    value: float | None = None,
    reason: str | None = None,
    seconds: float = 10.0,
) -> TrialEnded:
    epochs = 0 if outcome in (Outcome.DOES_NOT_FIT, Outcome.DUPLICATE) else 3
    return TrialEnded(
        number=number, outcome=outcome, value=value, reason=reason, epochs=epochs, seconds=seconds
    )


def epoch(number: int, accuracy: float = 0.5, rate: float = 1000.0) -> Epoch:
    return Epoch(
        number=number,
        train_loss=1.5,
        val_loss=1.25,
        val_accuracy=accuracy,
        learning_rate=0.00123,
        seconds=4.2,
        images_per_second=rate,
        peak_allocated=600 * 2**20,
        peak_reserved=None,
        peak_resident=600 * 2**20,
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
