"""The Python facade: what the command line does, in a few lines of Python.

study = nas.search(space="cnn_fc", data="digits", trials=20)
study.best.value            # in [0, 1]: validation accuracy, unless metric="macro_f1" or another is asked for
model = study.best.load_model()
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from nas.api.trial import Final, Trial
from nas.driver.prepare import Progress, prepared, reopened
from nas.driver.run import run_search
from nas.errors import StudyError
from nas.events import Watch
from nas.final import FinalSettings, finish
from nas.machine.files import expanded
from nas.recipe import Recipe
from nas.space.load import short_name
from nas.study.database import open_database, storage_errors, storage_url
from nas.study.openings import openings
from nas.study.reader import StudyReader
from nas.study.records import TrialRecord, best_of, counts_of, random_start


class Study:
    """A study and its trials, read afresh from the database at each access."""

    def __init__(self, store: StudyReader) -> None:
        self.store = store
        self.name = store.name

    @property
    def trials(self) -> list[Trial]:
        """Every trial, in the order of their numbers."""
        return [Trial(self.store, record) for record in self.store.trials()]

    @property
    def best(self) -> Trial | None:
        """The completed trial of highest value, or None."""
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
        return self.final_of(self.store.trials())

    def final_of(self, records: Sequence[TrialRecord]) -> Final | None:
        """`final`, where all trials have just been read."""
        opened = openings(self.store)
        tested = [opening for opening in opened if opening.result is not None]
        if not tested:
            return None
        assert tested[-1].result is not None
        return Final(self.store, records[tested[-1].result["trial"]], tested[-1], len(opened))

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
        workers: int | None = None,
        device: str | None = None,
        device_memory: str | None = None,
        data: str | None = None,
        watch: Watch | None = None,
        progress: Progress | None = None,
    ) -> Final:
        """Retrain the best trials, train the winner on training and validation images, and test it, once.

        Stopped or killed, the next call goes on. The memory cap is that of the study.

        Args:
            top: the best trials that are retrained (3).
            seeds: of each of them, and of the baselines (3).
            epochs: of every training (twice those of the search).
            ema: decay of an average of the weights, such as 0.999, which is evaluated and kept.
            compile: train through `torch.compile`; CUDA only.
            mirror: also measure the test value with logits averaged over each image and its mirror image.
            again: open the test images although they were opened before; every report says how often.
            workers: trained at the same time; those of the search if None, as the next two.
            device: cpu, cuda, cuda:<i>, mps or auto.
            device_memory: that all may use together: 12GiB or 80%.
            data: where the images of the study lie now, if they have moved.
            watch: called with the events of every search that this takes.
            progress: as of `search`.

        Raises:
            NasError: whatever the caller can mend.
            KeyboardInterrupt: at Ctrl-C.
        """
        store = self.store
        with (
            storage_errors(store.storage.shown, store.folder),
            reopened(
                store, progress, data=data, workers=workers, device=device, device_memory=device_memory
            ) as run,
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
        return {short_name(store.recipe.space): Study(store).best for store in stores}

    def to_json(self) -> dict[str, Any]:
        """`study`, `counts` by outcome, `best` (a trial or None), `trials`, and what they were made with."""
        records = self.store.trials()
        best = best_of(records)
        return {
            "study": self.name,
            "counts": counts_of(records),
            "best": best.to_json() if best else None,
            "trials": [record.to_json() for record in records],
            "baselines": [*self.compared(records)],
            "final": final.to_json() if (final := self.final_of(records)) else None,
            "recipe": self.store.recipe.model_dump(mode="json"),
            "space_version": self.store.space_version,
            "data": self.store.data,
            "versions": self.store.row["versions"],
        }

    def compared(self, records: Sequence[TrialRecord]) -> Iterator[dict[str, Any]]:
        """What the best of all `records` is compared with: baselines, and the best of the random start."""
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

    Ctrl-C ends it cleanly and returns the study; the next run goes on with the trials that were cut short.

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
    name: str | None = None,
    *,
    storage: str | None = None,
    folder: Path | str = "studies",
    space: str | None = None,
) -> Study:
    """A study that exists: by its name, or the one that was searched last. It may be one that is read-only.

    Args:
        space: the file of its search space, where it has moved or was not run by this user before: a file is
            never run because a study names it.

    Raises:
        NasError: there is no such study or database.
    """
    folder = expanded(folder)
    store = StudyReader.find(open_database(storage_url(storage, folder), read_only=True), name, folder)
    store.named_space = space
    return Study(store)
