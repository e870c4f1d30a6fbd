"""The contract of `nas.space`, held by every shipped search space.

Each `check_` takes any search space and any data, so that the author of another space can run it too.
"""

from dataclasses import FrozenInstanceError, fields, is_dataclass
from pathlib import Path
from statistics import median

import optuna
import pytest
import torch
from optuna.distributions import BaseDistribution
from optuna.samplers import RandomSampler
from optuna.trial import FixedTrial, Trial
from torch.nn.functional import cross_entropy

from nas.plugins import Space, load_space, shipped_spaces
from nas.ranges import smallest
from nas.space import DataInfo, Proposal

optuna.logging.set_verbosity(optuna.logging.WARNING)


def proposals(space: Space, data: DataInfo, count: int) -> list[tuple[Trial, Proposal]]:
    """Random trials with what they propose; the same ones every time."""
    study = optuna.create_study(sampler=RandomSampler(seed=0))
    trials = [study.ask() for _ in range(count)]
    return [(trial, space.suggest(trial, data)) for trial in trials]


def check_ranges_are_static(space: Space, data: DataInfo) -> None:
    """A name means one range, whatever the other parameters are."""
    known: dict[str, BaseDistribution] = {}
    for trial, _ in proposals(space, data, 100):
        for name, distribution in trial.distributions.items():
            assert known.setdefault(name, distribution) == distribution, name


def check_proposals_are_values(space: Space, data: DataInfo) -> None:
    """A proposal is frozen and hashable, and its digest says whether it equals another."""
    seen: dict[Proposal, str] = {}
    for _, proposal in proposals(space, data, 20):
        architecture = proposal.architecture
        assert is_dataclass(architecture)
        with pytest.raises(FrozenInstanceError):
            setattr(architecture, fields(architecture)[0].name, None)
        seen[proposal] = proposal.digest
    assert len(set(seen.values())) == len(seen)


def check_parameters_rebuild_the_proposal(space: Space, data: DataInfo) -> None:
    for trial, proposal in proposals(space, data, 20):
        rebuilt = space.suggest(FixedTrial(trial.params), data)
        assert (rebuilt, rebuilt.digest) == (proposal, proposal.digest)


def check_finished_trials_rebuild_the_proposal(space: Space, data: DataInfo, storage: str) -> None:
    """A trial read back from the database means what it meant when it was asked."""
    study = optuna.create_study(storage=storage, study_name="rebuild", sampler=RandomSampler(seed=0))
    asked: dict[int, Proposal] = {}
    for _ in range(3):
        trial = study.ask()
        asked[trial.number] = space.suggest(trial, data)
        study.tell(trial, 0.5)
    for finished in optuna.load_study(storage=storage, study_name="rebuild").trials:
        rebuilt = space.suggest(finished, data)
        assert (rebuilt, rebuilt.digest) == (asked[finished.number], asked[finished.number].digest)


def check_training_suits_the_data(space: Space, data: DataInfo) -> None:
    """No augmentation changes the class of an image."""
    for _, proposal in proposals(space, data, 50):
        assert set(proposal.training.augmentation) <= set(data.augmentations)


def check_it_trains(space: Space, proposal: Proposal, data: DataInfo, device: str) -> None:
    """The network takes images, answers logits, and has a finite gradient for every weight."""
    torch.manual_seed(0)
    with torch.device(device):
        model = space.build(proposal, data).train()
        images = torch.randn(4, *data.shape)
        labels = torch.zeros(4, dtype=torch.long)
    logits = model(images)
    assert logits.shape == (4, data.num_classes)
    loss = cross_entropy(logits, labels)
    loss.backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, f"{name} does not learn"
        assert device == "meta" or parameter.grad.isfinite().all(), name
    assert device == "meta" or loss.isfinite()


def check_the_smallest_proposal_is_small(space: Space, data: DataInfo) -> None:
    """The cheapest choice of a category comes first, so that the lowest of everything is a small network."""

    def size(proposal: Proposal) -> int:
        with torch.device("meta"):
            return sum(parameter.numel() for parameter in space.build(proposal, data).parameters())

    sizes = [size(proposal) for _, proposal in proposals(space, data, 20)]
    assert size(space.suggest(FixedTrial(smallest(space, data)), data)) < median(sizes)


def make_data(shape: tuple[int, int, int], augmentations: tuple[str, ...]) -> DataInfo:
    return DataInfo(
        name="data",
        shape=shape,
        num_classes=10,
        num_train=1000,
        num_val=100,
        augmentations=augmentations,
    )


DATA = [
    make_data((1, 8, 8), ("shift", "cutout")),
    make_data((1, 28, 28), ()),
    make_data((3, 32, 32), ("shift", "flip", "cutout")),
    make_data((3, 64, 64), ("flip",)),
    make_data((3, 224, 224), ("shift", "flip")),
]

SPACES = [load_space(name) for name in shipped_spaces()]

every_space = pytest.mark.parametrize("space", SPACES, ids=lambda space: space.name)
every_data = pytest.mark.parametrize("data", DATA, ids=lambda data: "x".join(map(str, data.shape)))


@every_space
@every_data
def test_ranges_are_static(space, data):
    check_ranges_are_static(space, data)


@every_space
@every_data
def test_proposals_are_values(space, data):
    check_proposals_are_values(space, data)


@every_space
@every_data
def test_parameters_rebuild_the_proposal(space, data):
    check_parameters_rebuild_the_proposal(space, data)


@every_space
def test_finished_trials_rebuild_the_proposal(space, tmp_path: Path):
    check_finished_trials_rebuild_the_proposal(space, DATA[0], f"sqlite:///{tmp_path / 'study.db'}")


@every_space
@every_data
def test_training_suits_the_data(space, data):
    check_training_suits_the_data(space, data)


@every_space
@every_data
def test_random_proposals_train(space, data):
    device = "cpu" if max(data.shape) <= 32 else "meta"
    for _, proposal in proposals(space, data, 8):
        check_it_trains(space, proposal, data, device)


@every_space
@every_data
def test_a_study_starts_with_a_small_network_that_trains(space, data):
    check_the_smallest_proposal_is_small(space, data)
    check_it_trains(space, space.suggest(FixedTrial(smallest(space, data)), data), data, "cpu")
