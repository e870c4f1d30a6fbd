"""One trial of a study, and its final model: rebuilt, loaded, exported."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nas.datasets import ImageData
from nas.datasets.rules import rules_of
from nas.driver.prepare import images_now, open_images
from nas.errors import DataError, StudyError
from nas.exporters import MAX_DROP, Export, Origin, Score, TrainedModel, export_model
from nas.final.rebuilt import layers_of, network_of, proposal_of
from nas.space import DataInfo, Proposal
from nas.space.load import short_name
from nas.space.user_code import aside
from nas.study.openings import Opening
from nas.study.reader import StudyReader
from nas.study.records import Recall, TrialRecord
from nas.study.trial_files import load_weights, weights_path

if TYPE_CHECKING:
    from torch import nn

    from nas.network.layers import LayerTable


class Trial:
    """One trial of a study, as it is stored."""

    _kept = (
        "Only the best three trials of a study keep theirs; where their files were removed, nas train trains"
        " the best anew."
    )

    def __init__(self, store: StudyReader, record: TrialRecord) -> None:
        self._store = store
        self.record = record
        self.number = record.number
        self.value = record.value
        """The study's metric on validation images after the last epoch, in [0, 1]; None unless completed."""
        self.params = record.params
        """What Optuna suggested."""

    @property
    def data(self) -> DataInfo:
        """What a search space may know of the study's data."""
        return self._store.info

    @property
    def proposal(self) -> Proposal:
        """The architecture and its training settings, rebuilt by replaying the space on the parameters.

        Raises:
            StudyError: the search space has changed since, so that it no longer makes this proposal.
        """
        return proposal_of(self._store, self.record)[1]

    @property
    def recalls(self) -> list[Recall]:
        """By class, how the validation images were classified after the last epoch; empty where that is not
        known: the trial has not ended, or is from before this was stored."""
        return self._store.recalls(self.number)

    def to_json(self) -> dict[str, Any]:
        """The shape of `nas show --trial --json`."""
        return self.record.to_json() | {"recalls": [asdict(each) for each in self.recalls]}

    def build(self) -> nn.Module:
        """The network with the weights that its training began with."""
        return network_of(self._store, self.record)

    def layers(self) -> LayerTable:
        """The network layer by layer, followed without memory for its weights where that can be.

        Raises:
            NasError: it cannot be rebuilt, or not be followed.
        """
        return layers_of(self._store, self.record)

    @property
    def weights(self) -> Path | None:
        """The file of its weights, which only the best three trials keep."""
        file = weights_path(self._store.folder, self.number)
        return file if self.value is not None and file.exists() else None

    def load_model(self) -> nn.Module:
        """The trained network, in evaluation mode on the CPU.

        It takes float images (batch, channels, height, width), scaled to [0, 1] and normalised with the mean
        and standard deviation in `study.store.data`, and gives logits (batch, classes).

        Raises:
            StudyError: its weights were not kept, their file holds something else, or its search space builds
                another network now.
        """
        if self.weights is None:
            file = weights_path(self._store.folder, self.number)
            raise StudyError(
                f"Trial {self.number} of {self._store.name!r} has no weights, in {file}. {self._kept}"
            )
        model = self.build()
        load_weights(model, self.weights)
        return model.eval()

    def export(
        self,
        out: Path | str,
        formats: Sequence[str] | None = None,
        *,
        uint8: bool = False,
        max_drop: float = MAX_DROP,
        overwrite: bool = False,
    ) -> Export:
        """Write the trained network into the folder `out`, in files that need nothing of us, and verify them.

        Args:
            formats: such as source, torch, onnx, int8; None for whatever is possible here.
            uint8: put the preprocessing into the files, so that they take raw images.
            max_drop: of the study's metric, what int8 may lose.
            overwrite: replace an earlier export though files in it were added or edited.

        Raises:
            VerificationFailed: a file does not do what the network does; it was not kept.
            StudyError: the weights of the trial were not kept.
            NasError: the folder cannot be used, or a format cannot hold the network.
        """
        facts, recipe = self._store.data, self._store.recipe
        model = self.load_model()
        assert self.value is not None  # only completed trials have weights
        trained = TrainedModel(
            model=model,
            input_shape=self.data.shape,
            classes=tuple(facts["classes"]),
            mean=tuple(facts["mean"]),
            std=tuple(facts["std"]),
            bits=self.data.bits,
            native=facts.get("native", False),
            data=self.data.name,
            data_facts=facts,
            images=self._images(),
            origin=Origin(
                study=self._store.name,
                trial=self.number,
                space=short_name(recipe.space),
                space_version=self._store.space_version,
                params=self.params,
                metric=self.record.metric,
                value=self.value,
                peak_memory=self.record.measured_peak or 0,
                retrained=self._retrained,
            ),
            versions=self._versions,
        )
        with aside():  # its forward may print
            return export_model(
                trained, Path(out), formats, uint8=uint8, max_drop=max_drop, overwrite=overwrite
            )

    @property
    def headline(self) -> str:
        """What it is and how good."""
        return f"Trial {self.number}, validation {self.record.metric_in_words} {self.value:.4f}"

    @property
    def _retrained(self) -> Score | None:
        """What was measured of the weights after the search."""
        return None

    @property
    def _versions(self) -> Mapping[str, str]:
        """Of the packages that trained the weights."""
        return self.record.versions or {}

    def _images(self) -> ImageData | None:
        """The study's dataset; None where its images are gone, or others than they were."""
        recipe, facts = self._store.recipe, self._store.data
        try:
            images = recipe.model_copy(update=images_now(self._store))
            found = open_images(images, rules=rules_of(facts))
        except DataError:
            return None
        same = (found.fingerprint, found.split_digest) == (facts["fingerprint"], facts["split_digest"])
        return found if same else None


class Final(Trial):
    """The final model of a study: the winner among its best trials, trained anew on training and validation
    images, and tested. Number, value and record are the trial's; weights and exports are the final ones."""

    _kept = "The file of its final model was removed; nas train --again trains and tests it anew."

    def __init__(self, store: StudyReader, record: TrialRecord, opening: Opening, opened: int) -> None:
        super().__init__(store, record)
        assert opening.result is not None
        self.result = opening.result
        """What `to_json` tells, and more."""
        self.settings = opening.settings
        """`epochs`, `top`, `seeds`, `ema`, `compile` and `mirror`."""
        self.test_accuracy: float = self.result["test_accuracy"]
        """In [0, 1], whatever the study's metric is."""
        self.test_value: float = self.result["test_value"]
        """The study's metric on the test images, in [0, 1]."""
        low, high = self.result["interval"]
        self.interval: tuple[float, float] = (low, high)
        """Of the test value, at 95 %: what so many test images leave."""
        self.openings = opened
        """How often the test images of the study were opened."""
        self.opened_at = opening.opened_at
        """UTC."""

    def build(self) -> nn.Module:
        """The network with the weights that the final training began with."""
        return network_of(self._store, self.record, self.result["seed"])

    @property
    def weights(self) -> Path | None:
        file = self._store.folder / self.result["weights"]
        return file if file.exists() else None

    @property
    def headline(self) -> str:
        images = "trained on the validation images too"
        result = f"test {self.record.metric_in_words} {self.test_value:.4f}"
        return f"Final model (trial {self.number}), {images}, {result}"

    @property
    def _retrained(self) -> Score:
        times = "once" if self.openings == 1 else f"{self.openings} times"
        split = f"test (opened {times}), after training on training and validation images"
        return Score(self.test_value, split, self.interval)

    @property
    def _versions(self) -> Mapping[str, str]:
        versions: dict[str, str] = self.result["versions"] or {}
        return versions

    def to_json(self) -> dict[str, Any]:
        """The shape of `final` in `nas show --json`."""
        opened_at = self.opened_at.isoformat() + "Z"
        return {"openings": self.openings, "opened_at": opened_at, "settings": self.settings, **self.result}
