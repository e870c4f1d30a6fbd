"""What every search space and every baseline keeps to."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, fields, is_dataclass, replace
from pathlib import Path
from statistics import median

import optuna
import pytest
import torch
from optuna.distributions import BaseDistribution
from optuna.samplers import RandomSampler
from optuna.trial import FixedTrial, Trial
from torch import Tensor
from torch.nn.functional import cross_entropy

from nas.datasets.source import NO_FLIP
from nas.errors import NasError
from nas.memory.program import BatchSizes
from nas.memory.trace import trace_training
from nas.network.layers import layer_table
from nas.space import AUGMENTATIONS, DataInfo, Proposal
from nas.space.load import Space, load_space
from nas.space.parameters import smallest
from nas.training.images import Examples, Images
from nas.training.loop import Trainer

LARGEST_RUN = 64
"""Networks for images of more pixels a side are built and run without their memory."""

LARGEST_TRAINED = 32
"""Networks for images of more pixels a side are not trained, for the sake of time."""

BATCH_SIZE = 16
"""Of the training whose memory is measured."""


def make_data(shape: tuple[int, int, int], augmentations: tuple[str, ...] = ()) -> DataInfo:
    """A dataset of 1,000 training images and ten classes."""
    return DataInfo(
        name="data", shape=shape, num_classes=10, num_train=1000, num_val=100, augmentations=augmentations
    )


DATA = (
    make_data((1, 8, 8), NO_FLIP),
    make_data((1, 28, 28)),
    make_data((3, 32, 32), AUGMENTATIONS),
    make_data((3, 64, 64), ("flip", "alternating_flip")),
    make_data((3, 224, 224), ("shift", "flip")),
)


def size(data: DataInfo) -> str:
    """The shape of its images, such as "3x32x32"."""
    return "x".join(map(str, data.shape))


def proposals(space: Space, data: DataInfo, count: int) -> list[tuple[Trial, Proposal]]:
    """Random trials with what they propose; the same ones every time."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(sampler=RandomSampler(seed=0))
    trials = [study.ask() for _ in range(count)]
    return [(trial, space.suggest(trial, data)) for trial in trials]


def weights_of(space: Space, proposal: Proposal, data: DataInfo) -> dict[str, torch.Size]:
    """The shape of every parameter and buffer, without their memory."""
    with torch.device("meta"):
        model = space.build(proposal, data)
    return {name: tensor.shape for name, tensor in model.state_dict().items()}


class SpaceContract:
    """Give the `name` of a search space, or the path of its file."""

    name: str

    @pytest.fixture
    def space(self) -> Space:
        return load_space(self.name)

    @pytest.fixture(params=DATA, ids=size)
    def data(self, space: Space, request: pytest.FixtureRequest) -> DataInfo:
        """Data that the space accepts."""
        return _accepted(space, request.param)

    @pytest.fixture(params=[data for data in DATA if max(data.shape) <= LARGEST_TRAINED], ids=size)
    def small_data(self, space: Space, request: pytest.FixtureRequest) -> DataInfo:
        """Data that the space accepts, and whose images are small enough to train on in a test."""
        return _accepted(space, request.param)

    def test_images_that_it_cannot_take_are_refused_in_one_line_with_their_size(self, space: Space) -> None:
        for data in (*DATA, make_data((1, 1, 1))):
            if (refusal := _refusal(space, data)) is not None:
                assert "\n" not in refusal
                assert "{}x{}".format(*data.shape[1:]) in refusal
                with pytest.raises(NasError):  # whatever is sampled
                    proposals(space, data, 5)
        assert any(_refusal(space, data) is None for data in DATA), "it takes none at all"

    def test_a_name_means_one_range_whatever_the_other_parameters_are(
        self, space: Space, data: DataInfo
    ) -> None:
        known: dict[str, BaseDistribution] = {}
        for trial, _ in proposals(space, data, 100):
            for name, distribution in trial.distributions.items():
                assert known.setdefault(name, distribution) == distribution, name

    def test_a_proposal_is_frozen_and_its_digest_tells_whether_it_equals_another(
        self, space: Space, data: DataInfo
    ) -> None:
        seen: dict[Proposal, str] = {}
        for _, proposal in proposals(space, data, 20):
            architecture = proposal.architecture
            assert is_dataclass(architecture)
            for field in fields(architecture):
                with pytest.raises(FrozenInstanceError):
                    setattr(architecture, field.name, None)
            seen[proposal] = proposal.digest
        assert len(set(seen.values())) == len(seen)

    def test_its_parameters_rebuild_a_proposal(self, space: Space, data: DataInfo) -> None:
        for trial, proposal in proposals(space, data, 20):
            rebuilt = space.suggest(FixedTrial(trial.params), data)
            assert (rebuilt, rebuilt.digest) == (proposal, proposal.digest)

    def test_finished_trials_rebuild_the_same_networks(self, space: Space, tmp_path: Path) -> None:
        """Read back from the database, they mean what they meant when they were asked."""
        data = next(data for data in reversed(DATA) if _refusal(space, data) is None)
        storage = f"sqlite:///{tmp_path / 'study.db'}"
        study = optuna.create_study(storage=storage, study_name="rebuild", sampler=RandomSampler(seed=0))
        asked: dict[int, Proposal] = {}
        for _ in range(3):
            trial = study.ask()
            asked[trial.number] = space.suggest(trial, data)
            study.tell(trial, 0.5)
        for finished in optuna.load_study(storage=storage, study_name="rebuild").trials:
            rebuilt, original = space.suggest(finished, data), asked[finished.number]
            assert (rebuilt, rebuilt.digest) == (original, original.digest)
            assert weights_of(space, rebuilt, data) == weights_of(space, original, data)

    def test_no_augmentation_changes_the_class_of_an_image(self, space: Space, data: DataInfo) -> None:
        for _, proposal in proposals(space, data, 50):
            assert set(proposal.training.augmentation) <= set(data.augmentations)

    def test_random_proposals_train(self, space: Space, data: DataInfo) -> None:
        for proposal in dict.fromkeys(proposal for _, proposal in proposals(space, data, 4)):
            self.check_training_step(space, proposal, data)

    def test_a_study_starts_with_a_small_network_that_trains(self, space: Space, data: DataInfo) -> None:
        """The cheapest choice of a category comes first, so that the lowest of everything is small."""
        sizes = [
            sum(map(torch.Size.numel, weights_of(space, proposal, data).values()))
            for _, proposal in proposals(space, data, 20)
        ]
        first = space.suggest(FixedTrial(smallest(space, data)), data)
        assert sum(map(torch.Size.numel, weights_of(space, first, data).values())) <= median(sizes)
        self.check_training_step(space, first, data)

    def test_its_starts_are_distinct_proposals_within_its_ranges_cheapest_first(
        self, space: Space, data: DataInfo
    ) -> None:
        if not (starts := space.starts(data)):  # which replays them
            pytest.skip("it says nothing of any")
        replayed = [space.suggest(FixedTrial(params), data) for params in starts]
        assert len({proposal.digest for proposal in replayed}) == len(starts)
        costs = []
        for proposal in replayed:
            with torch.device("meta"):
                costs.append(layer_table(space.build(proposal, data), data.shape).multiply_adds)
        assert costs == sorted(costs)
        self.check_training_step(space, replayed[0], data)

    def test_the_memory_of_training_is_predicted(self, space: Space, small_data: DataInfo) -> None:
        _, proposal = proposals(space, small_data, 1)[0]
        self.check_memory(space, proposal, small_data)

    def check_training_step(self, space: Space, proposal: Proposal, data: DataInfo) -> None:
        """The network takes images, answers logits, and has a finite gradient for every weight."""
        device = "cpu" if max(data.shape) <= LARGEST_RUN else "meta"
        torch.manual_seed(0)
        with torch.device(device):
            model = space.build(proposal, data).train()
            images = torch.randn(4, *data.shape)
            labels = torch.zeros(4, dtype=torch.long)
        logits: Tensor = model(images)
        assert logits.shape == (4, data.num_classes)
        loss = cross_entropy(logits, labels)
        loss.backward()  # type: ignore[no-untyped-call]
        for name, parameter in model.named_parameters():
            assert parameter.grad is not None, f"{name} does not learn"
            assert device == "meta" or parameter.grad.isfinite().all(), name
        assert device == "meta" or loss.isfinite()

    def check_memory(self, space: Space, proposal: Proposal, data: DataInfo) -> None:
        """The predicted peak of a training step is within two percent of what it allocates on a CPU."""
        model, training = space.build(proposal, data), replace(proposal.training, batch_size=BATCH_SIZE)
        program = trace_training(model, data.shape, training)
        trainer = Trainer(model, _black(data), training, epochs=1, precision="fp32", seed=0)
        (epoch,) = trainer.run()
        predicted = program.peak(BatchSizes(BATCH_SIZE)).allocated
        assert predicted == pytest.approx(epoch.peak_allocated, rel=0.02, abs=4096 * BATCH_SIZE)


def _refusal(space: Space, data: DataInfo) -> str | None:
    try:
        smallest(space, data)
    except NasError as error:
        return str(error)
    return None


def _accepted(space: Space, data: DataInfo) -> DataInfo:
    refusal = _refusal(space, data)
    if refusal is not None:
        pytest.skip(refusal)
    return data


def _black(data: DataInfo) -> Images:
    """Two batches to train on, and one image to validate on."""
    channels, height, width = data.shape
    cpu = torch.device("cpu")

    def examples(count: int) -> Examples:
        pixels = torch.zeros(count, height, width, channels, dtype=torch.uint8)
        return Examples(pixels, torch.zeros(count, dtype=torch.long), cpu, resident=True)

    zeros = torch.zeros(height, width, channels)
    color = torch.zeros(channels, dtype=torch.uint8)
    return Images(data, cpu, examples(2 * BATCH_SIZE), examples(1), zeros, zeros, color)
