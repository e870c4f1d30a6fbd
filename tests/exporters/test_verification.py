"""What counts as doing what the network does: its logits and its probabilities, not its classes alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from nas.errors import NasError
from nas.exporters.runtime import Runtime, probabilities
from nas.exporters.verify.measuring import Request, agreement
from nas.exporters.verify.verification import Reference, Verification, judge

Logits = Any

LABELS = np.arange(400) % 10

RANDOM = np.random.default_rng(0)

LOGITS: Logits = (2 * RANDOM.standard_normal((400, 10)) + 8 * np.eye(10)[LABELS]).astype(np.float32)
"""Of a network that has learnt something."""

NOISE = RANDOM.standard_normal(LOGITS.shape).astype(np.float32)


def verified(change: Callable[[Logits], Logits], *, lossy: bool, labelled: bool) -> None:
    """Judge a format that gives `change` of the network's logits; raises NasError."""
    images = np.arange(400, dtype=np.uint8)[:, None, None, None]  # each holds its own row, for two batches
    rows = iter([slice(0, 256), slice(256, 400)])
    runtime = Runtime(lambda batch: change(LOGITS)[next(rows)], uint8=True)
    request = Request(format="note", folder="", shape=(1, 1, 1), mean=(0.0,), std=(1.0,), threads=1, timed=())
    labels = LABELS if labelled else None
    found = agreement(request, runtime, images, labels, LOGITS, 256)
    accuracy = float((LOGITS.argmax(1) == LABELS).mean()) if labelled else None
    wanted = Reference(
        logits=Path(),
        images=400,
        accuracy=accuracy,
        metric="accuracy",
        value=accuracy,
        largest=float(np.abs(LOGITS).max()),
        spread=float(LOGITS.std()),
        threads=1,
        processor="",
    )
    format: Any = SimpleNamespace(LOSSY=lossy)
    judge("note", format, Verification(files=(), size=0, batches=(found,), latency={}), wanted, 0.01)


@pytest.mark.parametrize("labelled", [True, False], ids=["images", "random"])
@pytest.mark.parametrize("lossy", [False, True], ids=["exact", "lossy"])
@pytest.mark.parametrize(
    "change",
    [
        lambda logits: logits + 25,
        lambda logits: 3 * logits,
        lambda logits: logits / 3,
        lambda logits: probabilities(logits),
        lambda logits: np.log(probabilities(logits)),
        lambda logits: logits + 10 * (LABELS % 2)[:, None],
        lambda logits: np.roll(logits, 1, axis=1),
        lambda logits: np.roll(logits, 1, axis=0),
        lambda logits: np.zeros_like(logits),
        lambda logits: np.where(LABELS[:, None] % 5 < 3, logits, -logits),
        lambda logits: np.full_like(logits, np.nan),
    ],
    ids=[
        "shifted", "steeper", "flatter", "softmax", "log-softmax", "some shifted", "other classes",
        "other images", "nothing", "two fifths", "no numbers",
    ],
)  # fmt: skip
def test_a_format_that_gives_something_else_fails(
    change: Callable[[Logits], Logits], lossy: bool, labelled: bool
) -> None:
    with pytest.raises(NasError, match="The format note failed"):
        verified(change, lossy=lossy, labelled=labelled)


@pytest.mark.parametrize("labelled", [True, False], ids=["images", "random"])
@pytest.mark.parametrize(
    ("change", "lossy"),
    [
        (lambda logits: logits, False),
        (lambda logits: logits + 3e-5 * NOISE, False),
        (lambda logits: logits + 3e-5 * NOISE, True),
        (lambda logits: logits + 0.2 * logits.std() * NOISE, True),
    ],
    ids=["the same", "rounded", "rounded, lossy", "in 8 bits"],
)
def test_rounding_passes(change: Callable[[Logits], Logits], lossy: bool, labelled: bool) -> None:
    verified(change, lossy=lossy, labelled=labelled)


@pytest.mark.parametrize("scale", [1e-3, 1, 1e4])
def test_logits_of_any_size_may_be_rounded_as_floats_are(
    scale: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(f"{__name__}.LOGITS", LOGITS * np.float32(scale))
    verified(lambda logits: logits + 1e-6 * scale * NOISE, lossy=False, labelled=False)
