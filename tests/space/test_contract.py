"""Proposals: their digests, which are stored, and training settings that a recipe fixes."""

from dataclasses import asdict, dataclass
from typing import Any

import pytest
from optuna.trial import FixedTrial

from nas.errors import InvalidSetting, UnknownName
from nas.space import AUGMENTATIONS, Proposal, Training, added, override
from nas.space.load import load_space
from tests.conftest import DIGITS

ADAMW = {
    "log2_batch_size": 6,
    "optimizer": "adamw",
    "learning_rate_adam": 0.003,
    "weight_decay_adamw": 0.01,
    "schedule": "onecycle",
    "label_smoothing": 0.1,
    "augmentation": "shift+cutout",
}

STORED = {
    "cnn_fc": (
        {
            "conv_stages": 2,
            "convs_per_stage": 2,
            "log2_filters": 4,
            "doubling_2": 1,
            "kernel_size": 3,
            "downsampling": "max_pool",
            "batch_norm": True,
            "bottleneck": True,
            "log2_bottleneck": 4,
            "fc_layers": 1,
            "log2_fc_units": 5,
            "dropout": 0.2,
            "initialisation": "he",
        },
        "bac0653bb25b42fe595bb48a4f7c322fa88fa3ceff90ead0c469f5b5ab6c73cf",
    ),
    "mlp": (
        {
            "fc_layers": 2,
            "log2_fc_units": 6,
            "fc_halving_2": 1,
            "batch_norm": True,
            "dropout": 0.0,
            "initialisation": "xavier",
        },
        "2de26201cdcb404ec62d5f8202fc1e93d25288dbc89684c9ec275a95e89c81b2",
    ),
}
"""Parameters and digests from studies of the first version."""

PLAIN = Training(batch_size=64, optimizer="adamw", learning_rate=0.003, warmup=0.1)


@dataclass(frozen=True)
class Old:
    width: int


@dataclass(frozen=True)
class New:
    width: int
    depth: int = added(1)
    widths: tuple[int, ...] = added(())


@pytest.mark.parametrize("name", STORED)
def test_a_stored_proposal_keeps_its_digest(name: str) -> None:
    params, digest = STORED[name]
    assert load_space(name).of_version(1).suggest(FixedTrial(params | ADAMW), DIGITS).digest == digest


def test_fields_added_later_are_described_unless_they_have_their_default() -> None:
    def described(architecture: Any) -> dict[str, Any]:
        return Proposal(architecture, PLAIN).description["architecture"]

    assert described(New(3)) == described(Old(3)) == {"width": 3}
    assert described(New(3, 2)) == {"width": 3, "depth": 2}
    assert described(New(3, widths=(1, 2))) == {"width": 3, "widths": (1, 2)}


@pytest.mark.parametrize("name", ["mixup", "clip_norm", "ema_decay"])
def test_every_setting_counts_in_the_digest(name: str) -> None:
    digests = {
        Proposal(Old(3), override(PLAIN, {name: value})).digest  # type: ignore[arg-type]
        for value in (0.0, 0.1, 0.2)
    }
    assert len(digests) == 3


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, {}),
        ({"mixup": 0.2}, {"mixup": 0.2}),
        ({"mixup": 1}, {"mixup": 1.0}),
        ({"batch_size": 32}, {"batch_size": 32}),
        ({"optimizer": "muon", "learning_rate": 0.01}, {"optimizer": "muon", "learning_rate": 0.01}),
        ({"schedule": "plateau"}, {"schedule": "plateau"}),
        ({"augmentation": "shift"}, {"augmentation": ("shift",)}),
        ({"augmentation": "cutout+noise+shift"}, {"augmentation": ("shift", "noise", "cutout")}),
        ({"augmentation": ["flip", "shift"]}, {"augmentation": ("shift", "flip")}),
        ({"augmentation": "none"}, {"augmentation": ()}),
        ({"augmentation": ""}, {"augmentation": ()}),
        # onecycle has a warm-up of its own
        ({"schedule": "onecycle"}, {"schedule": "onecycle", "warmup": 0.0}),
    ],
    ids=str,
)
def test_settings_are_fixed_and_the_others_stay(changes: dict[str, Any], expected: dict[str, Any]) -> None:
    assert asdict(override(PLAIN, changes)) == asdict(PLAIN) | expected


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"mixup": -1}, r"mixup cannot be -1\.0\. Allowed: 0 or more\."),
        ({"mixup": "much"}, r"mixup cannot be 'much'\. It is a number\."),
        ({"clip_norm": float("nan")}, "clip_norm cannot be nan"),
        ({"clip_norm": float("inf")}, "clip_norm cannot be inf"),
        ({"clip_norm": 10**400}, r"clip_norm cannot be 10+\. It is a number\."),
        ({"augmentation": [["shift"]]}, "augmentation cannot be"),
        ({"ema_decay": 1}, r"ema_decay cannot be 1\.0\. Allowed: at least 0 and less than 1\."),
        ({"ema_decay": True}, "ema_decay cannot be True"),
        ({"batch_size": 2.5}, r"batch_size cannot be 2\.5\. It is a whole number\."),
        ({"batch_size": 0}, "batch_size cannot be 0. Allowed: 1 or more"),
        ({"schedule": "often"}, r"schedule cannot be 'often'\. Allowed: constant, step, .* plateau\."),
        ({"schedule": 3}, "schedule cannot be 3"),
        ({"optimizer": "lion", "learning_rate": 0.1}, "optimizer cannot be 'lion'. Allowed: sgd, .* muon"),
        ({"optimizer": "sgd"}, "fixed learning_rate"),
        ({"augmentation": "shift+fog"}, r"augmentation cannot be \('shift', 'fog'\)\. Allowed: shift, flip"),
        ({"augmentation": 3}, "augmentation cannot be 3"),
        ({"augmentation": "flip+alternating_flip"}, "one kind of flip"),
    ],
    ids=str,
)
def test_what_cannot_be_fixed_is_one_clear_line(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidSetting, match=message) as error:
        override(PLAIN, changes)
    assert "\n" not in str(error.value)


def test_an_unknown_setting_offers_the_nearest() -> None:
    with pytest.raises(UnknownName, match="Did you mean 'mixup'"):
        override(PLAIN, {"mixupp": 0.1})


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_every_augmentation_is_a_training_setting(name: str) -> None:
    assert override(PLAIN, {"augmentation": name}).augmentation == (name,)
