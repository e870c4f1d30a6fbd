"""The Python facade: what the command line does, in a few lines of Python.

study = nas.search(space="cnn_fc", data="digits", trials=20)
study.best.value            # validation accuracy in [0, 1]
model = study.best.load_model()
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from optuna.trial import FixedTrial

from nas.datasets import ImageData
from nas.errors import DataError, NasError, StudyError
from nas.exporters import MAX_DROP, Export, Origin, Score, TrainedModel, export_model
from nas.final import FinalSettings, finish
from nas.plugins import Space, load_space
from nas.preparation import Progress, open_images, prepared, reopened
from nas.recipe import Recipe
from nas.running import Watch, run_search
from nas.space import DataInfo, Proposal
from nas.study.finals import Opening, openings
from nas.study.records import TrialRecord, best_of, counts_of, random_start
from nas.study.storage import open_storage, storage_errors, storage_url
from nas.study.store import StudyStore
from nas.study.weights import weights_path

if TYPE_CHECKING:
    from torch import nn


class Trial:
    """One trial of a study, as it is stored."""

    _kept = "Only the best three trials of a study keep their weights."

    def __init__(self, store: StudyStore, record: TrialRecord) -> None:
        self._store = store
        self.record = record
        self.number = record.number
        self.value = record.value
        """Validation accuracy after the last epoch, in [0, 1]; None unless completed."""
        self.params = record.params
        """What Optuna suggested."""

    @property
    def data(self) -> DataInfo:
        """What a search space may know of the study's data."""
        info = dict(self._store.data["info"])
        return DataInfo(**info | {name: tuple(info[name]) for name in ("shape", "augmentations")})

    @property
    def proposal(self) -> Proposal:
        """The architecture and its training settings, rebuilt by replaying the space on the parameters.

        Raises:
            StudyError: the search space has changed since, so that it no longer makes this proposal.
        """
        return self._rebuild()[1]

    def build(self) -> nn.Module:
        """The network with fresh weights."""
        space, proposal = self._rebuild()
        model: nn.Module = space.build(proposal, self.data)
        return model

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
            StudyError: its weights were not kept.
        """
        from safetensors.torch import load_file

        if self.weights is None:
            raise StudyError(f"Trial {self.number} of {self._store.name!r} has no weights. {self._kept}")
        model = self.build()
        model.load_state_dict(load_file(self.weights))
        return model.eval()

    def export(
        self,
        out: Path | str,
        formats: Sequence[str] | None = None,
        *,
        uint8: bool = False,
        max_drop: float = MAX_DROP,
    ) -> Export:
        """Write the trained network into the folder `out`, in files that need nothing of us, and verify them.

        Args:
            formats: such as source, torch, onnx, int8; None for whatever is possible here.
            uint8: put the preprocessing into the files, so that they take raw images.
            max_drop: accuracy that int8 may lose.

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
            data=self.data.name,
            data_facts=facts,
            images=self._images(),
            origin=Origin(
                study=self._store.name,
                trial=self.number,
                space=load_space(recipe.space).name,
                space_version=self._store.space_version,
                params=self.params,
                val_accuracy=self.value,
                peak_memory=max(
                    each.peak_reserved or each.peak_allocated or 0 for each in self.record.epochs
                ),
                retrained=self._retrained,
            ),
            versions=self.record.versions or {},
        )
        return export_model(trained, Path(out), formats, uint8=uint8, max_drop=max_drop)

    @property
    def headline(self) -> str:
        """What it is and how good."""
        return f"Trial {self.number}, validation accuracy {self.value:.4f}"

    @property
    def _retrained(self) -> Score | None:
        """What was measured of the weights after the search."""
        return None

    def _images(self) -> ImageData | None:
        """The study's dataset; None where its images are gone, or others than they were."""
        recipe, facts = self._store.recipe, self._store.data
        try:
            found = open_images(recipe)
        except DataError:
            return None
        same = (found.fingerprint, found.split_digest) == (facts["fingerprint"], facts["split_digest"])
        return found if same else None

    def _rebuild(self) -> tuple[Space, Proposal]:
        recipe = self._store.recipe
        space = load_space(recipe.space).fixing(recipe.training)
        try:
            with warnings.catch_warnings():  # of a value out of its range: the digest tells what came of it
                warnings.filterwarnings("ignore", module="optuna")
                proposal = space.suggest(FixedTrial(self.params), self.data)
            same = self.record.digest in (None, proposal.digest)
        except NasError as error:
            if not isinstance(error.__cause__, ValueError):  # Optuna's word for a parameter that is missing
                raise
            same = False
        if not same:
            raise StudyError(
                f"Trial {self.number} of {self._store.name!r} cannot be rebuilt: search space {space.name!r}"
                f" has changed since (then version {self._store.space_version}, now {space.version})."
            )
        return space, proposal


class Final(Trial):
    """The final model of a study: the winner among its best trials, trained anew on training and validation
    images, and tested. Number, value and record are the trial's; weights and exports are the final ones."""

    _kept = "The file of its final model was removed; nas train --again trains and tests it anew."

    def __init__(self, store: StudyStore, record: TrialRecord, opening: Opening, opened: int) -> None:
        super().__init__(store, record)
        assert opening.result is not None
        self.result = opening.result
        """What `to_json` tells, and more."""
        self.settings = opening.settings
        """`epochs`, `top`, `seeds`, `ema`, `compile` and `mirror`."""
        self.test_accuracy: float = self.result["test_accuracy"]
        """In [0, 1]."""
        low, high = self.result["interval"]
        self.interval: tuple[float, float] = (low, high)
        """Of the test accuracy, at 95 %: a bootstrap over the test images."""
        self.openings = opened
        """How often the test images of the study were opened."""
        self.opened_at = opening.opened_at
        """UTC."""

    @property
    def weights(self) -> Path | None:
        file = self._store.folder / self.result["weights"]
        return file if file.exists() else None

    @property
    def headline(self) -> str:
        images = "trained on the validation images too"
        return f"Final model (trial {self.number}), {images}, test accuracy {self.test_accuracy:.4f}"

    @property
    def _retrained(self) -> Score:
        times = "once" if self.openings == 1 else f"{self.openings} times"
        split = f"test (opened {times}), after training on training and validation images"
        return Score(self.test_accuracy, split, self.interval)

    def to_json(self) -> dict[str, Any]:
        """The shape of `final` in `nas show --json`."""
        opened_at = self.opened_at.isoformat() + "Z"
        return {"openings": self.openings, "opened_at": opened_at, "settings": self.settings, **self.result}


class Study:
    """A study and its trials, read afresh from the database at each access."""

    def __init__(self, store: StudyStore) -> None:
        self.store = store
        self.name = store.name

    @property
    def trials(self) -> list[Trial]:
        """Every trial, in the order of their numbers."""
        return [Trial(self.store, record) for record in self.store.trials()]

    @property
    def best(self) -> Trial | None:
        """The completed trial of highest validation accuracy, or None."""
        record = best_of(self.store.trials())
        return Trial(self.store, record) if record else None

    def best_or(self, number: int | None) -> Trial:
        """Trial `number`, or the best one when it is None.

        Raises:
            StudyError: there is none.
        """
        if number is not None:
            return self.trial(number)
        if self.best is None:
            raise StudyError(f"Study {self.name!r} has no completed trial yet. Go on with: nas search")
        return self.best

    def trial(self, number: int) -> Trial:
        """Trial `number`.

        Raises:
            StudyError: there is none.
        """
        trials = self.trials
        if not 0 <= number < len(trials):
            have = f"It has trials 0 to {len(trials) - 1}." if trials else "It has none yet."
            raise StudyError(f"Study {self.name!r} has no trial {number}. {have}")
        return trials[number]

    @property
    def final(self) -> Final | None:
        """The final model, as the test images were last opened for it; None before `train`."""
        opened = openings(self.store)
        tested = [opening for opening in opened if opening.result is not None]
        if not tested:
            return None
        assert tested[-1].result is not None
        record = self.trial(tested[-1].result["trial"]).record
        return Final(self.store, record, tested[-1], len(opened))

    def train(
        self,
        *,
        top: int | None = None,
        seeds: int | None = None,
        epochs: int | None = None,
        ema: float | None = None,
        compile: bool = False,
        mirror: bool = False,
        again: bool = False,
        watch: Watch | None = None,
        progress: Progress | None = None,
        **resources: Any,
    ) -> Final:
        """Retrain the best trials, train the winner on training and validation images, and test it, once.

        Stopped or killed, the next call goes on. The memory cap is that of the study.

        Args:
            top: the best trials that are retrained (3).
            seeds: of each of them, and of the baselines (3).
            epochs: of every training (twice those of the search).
            ema: decay of an average of the weights, such as 0.999, which is evaluated and kept.
            compile: train through `torch.compile`; CUDA only.
            mirror: also measure accuracy with logits averaged over each image and its mirror image.
            again: open the test images although they were opened before; every report says how often.
            watch: called with the events of every search that this takes.
            progress: as of `search`.
            resources: of this run: workers, device, device_memory.

        Raises:
            NasError: whatever the caller can mend.
            KeyboardInterrupt: at Ctrl-C.
        """
        store = self.store
        with (
            storage_errors(store.storage.shown, store.folder),
            reopened(store, progress, **resources) as run,
        ):
            settings = FinalSettings.checked(
                store.recipe,
                run.data.info,
                run.resources.devices[0],
                top=top,
                seeds=seeds,
                epochs=epochs,
                ema=ema,
                compile=compile,
                mirror=mirror,
            )
            finish(run, settings, watch or (lambda event: None), again=again)
        final = self.final
        assert final is not None
        return final

    @property
    def baselines(self) -> dict[str, Trial | None]:
        """What was trained to compare with, by name; None where it was not trained to its end."""
        stores = self.store.companions()
        return {load_space(store.recipe.space).name: Study(store).best for store in stores}

    def to_json(self) -> dict[str, Any]:
        """`study`, `counts` by outcome, `best` (a trial or None), `trials`, and what they were made with."""
        records = self.store.trials()
        best = best_of(records)
        return {
            "study": self.name,
            "counts": counts_of(records),
            "best": best.to_json() if best else None,
            "trials": [record.to_json() for record in records],
            "baselines": [*self._baselines(records)],
            "final": final.to_json() if (final := self.final) else None,
            "recipe": self.store.recipe.model_dump(mode="json"),
            "space_version": self.store.space_version,
            "data": self.store.data,
            "versions": self.store.row["versions"],
        }

    def _baselines(self, records: Sequence[TrialRecord]) -> Iterator[dict[str, Any]]:
        for name, trial in self.baselines.items():
            record = trial.record if trial else None
            yield {
                "name": name,
                "value": record and record.value,
                "num_parameters": record and record.num_parameters,
                "trials": 1,
            }
        if self.store.recipe.baseline and (start := random_start(records)):
            best, trials = start
            name, size = f"best of the random start (trial {best.number})", best.num_parameters
            yield {"name": name, "value": best.value, "num_parameters": size, "trials": trials}


def search(
    recipe: Recipe | None = None,
    *,
    watch: Watch | None = None,
    progress: Progress | None = None,
    **settings: Any,
) -> Study:
    """Search for the best classifier, or continue a study to more trials; blocks until it is done.

    Ctrl-C ends it cleanly and returns the study; the next run repeats the trials that were cut short.

    Args:
        recipe: settings to start from.
        watch: called with every `nas.events.Event`.
        progress: called with (images done, images in all) while images are decoded.
        settings: fields of `Recipe`, such as space, data, trials, epochs, study, folder, seed.

    Raises:
        NasError: whatever the caller can mend.
        KeyboardInterrupt: at a second Ctrl-C.
    """
    explicit = {name: getattr(recipe, name) for name in recipe.model_fields_set} if recipe else {}
    asked = Recipe.load(**explicit | settings)
    url = storage_url(asked.storage, asked.folder)
    with storage_errors(url, asked.folder), prepared(asked, progress) as run:
        run_search(run, watch or (lambda event: None))
        return Study(run.store)


def load_study(
    name: str | None = None, *, storage: str | None = None, folder: Path | str = "studies"
) -> Study:
    """A study that exists: by its name, or the latest one.

    Raises:
        NasError: there is no such study or database.
    """
    folder = Path(folder)
    return Study(StudyStore.find(open_storage(storage_url(storage, folder), create=False), name, folder))
