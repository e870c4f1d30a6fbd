"""From settings to a study that is ready to be driven: found or created, checked, every `auto` resolved."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from optuna.trial import FixedTrial

from nas.datasets import ImageData, known_datasets, open_data, source_name
from nas.datasets.rules import NEWEST, rules_of
from nas.devices import Resources, resolve
from nas.errors import InvalidSetting, StudyError
from nas.plugins import Space, load_baseline, load_space
from nas.ranges import check_baseline, smallest
from nas.recipe import Recipe, given
from nas.study.lock import study_lock
from nas.study.outcome import Outcome
from nas.study.samplers import resolve_pruner
from nas.study.storage import make_folder, open_storage, storage_url
from nas.study.store import StudyStore
from nas.study.stored import StoredStudy

Progress = Callable[[int, int], None]

KEPT_AUTO = ("precision", "threads", "pruner", "memory_cap")
"""What `auto` meant when the study started is what it means for as long as the study lives."""

UNCUT = {"pruner": "none", "patience": None, "target_accuracy": None, "time_limit": None, "sampler": "random"}
"""Settings of a baseline: it is trained to its end."""


@dataclass(frozen=True)
class Prepared:
    """All that one run of a search needs."""

    store: StudyStore
    space: Space
    data: ImageData
    resources: Resources


@contextmanager
def prepared(recipe: Recipe, progress: Progress | None) -> Iterator[Prepared]:
    """Open or create the study that `recipe` names, and hold its lock for the length of the block.

    Settings that `recipe` leaves unset are those of the study, where it exists.

    Raises:
        NasError: whatever the user can mend; no study is created before all of it is checked.
    """
    asked = {name: getattr(recipe, name) for name in recipe.model_fields_set}
    if "space" in asked:
        asked["space"] = load_space(recipe.space).source
    if "data" in asked:
        asked["data"] = _exact_source(recipe.data)
    name = _check_name(recipe.study or f"{load_space(recipe.space).name}-{source_name(recipe.data)}")
    url = storage_url(recipe.storage, recipe.folder)
    with closing(open_storage(url, create=True)) as storage, study_lock(storage, name):
        make_folder(recipe.folder / name)
        store = StudyStore.find(storage, name, recipe.folder) if StudyStore.exists(storage, name) else None
        recipe = _continued(store, asked) if store else Recipe.load(**asked | {"study": name})
        space = load_space(recipe.space).fixing(recipe.training)
        data = open_images(recipe, progress, rules=rules_of(store.data) if store else NEWEST)
        _check_baselines(recipe, data)  # before anything is trained
        resources = resolve(recipe, store.memory_cap if store else None)
        recipe = recipe.model_copy(
            update={
                "precision": resources.precision,
                "threads": resources.threads,
                "pruner": resolve_pruner(recipe.pruner, recipe.trials),
            }
        )
        if store is None:
            first = smallest(space, data.info)  # may fail in the user's code: before there is a study
            cap, facts = resources.memory_cap, _facts(data)
            store = StudyStore.create(
                storage, name, recipe.folder, recipe, space.version, facts, cap, first=first
            )
        else:
            _check_unchanged(store, space, data)
            store.take_over(recipe, resources.memory_cap)
        store.begin()
        yield Prepared(store, space, data, resources)


@contextmanager
def reopened(stored: StoredStudy, progress: Progress | None, **settings: Any) -> Iterator[Prepared]:
    """Hold the lock of a study whose search is over, for the length of the block; nothing of it is changed.

    Args:
        settings: of this run alone, such as workers; one that is None is that of the study.

    Raises:
        NasError: whatever the user can mend.
    """
    store = StudyStore(stored.storage, stored.name, stored.folder.parent)
    with closing(stored.storage), study_lock(stored.storage, stored.name):
        recipe = Recipe.load(**dict(store.recipe) | given(settings))
        space = load_space(recipe.space).fixing(recipe.training)
        data = open_images(recipe, progress, rules=rules_of(store.data))
        _check_unchanged(store, space, data)
        yield Prepared(store, space, data, resolve(recipe, store.memory_cap))


def companions(run: Prepared) -> Iterator[Prepared]:
    """A study for each baseline of a recipe, of one trial with the same data, epochs and memory cap.

    Raises:
        StudyError: a baseline has changed since it was trained.
    """
    for source in run.store.recipe.baseline:
        space = load_baseline(source)
        check_baseline(space, run.data.info)
        name = f"{run.store.name}.{space.name}.{run.store.uuid[:8]}"  # of this very study
        recipe = run.store.recipe.model_copy(
            update={"study": name, "space": space.source, "baseline": (), "trials": 1} | UNCUT
        )
        store = next((store for store in run.store.companions() if store.name == name), None)
        if store is None:
            store = run.store.add_companion(name, recipe, space.version)
        store.begin()
        last = store.trials()[-1]
        if last.outcome is Outcome.FAILED:
            store.enqueue({})  # another attempt at every run
        elif last.digest not in (None, space.suggest(FixedTrial({}), run.data.info).digest):
            raise StudyError(
                f"Baseline {space.name!r} has changed since it was trained beside {run.store.name!r}. Give"
                " the new one another name, or start another study with --study OTHER."
            )
        resources = replace(run.resources, devices=run.resources.devices[:1])
        yield Prepared(store, space, run.data, resources)


def _check_name(name: str) -> str:
    """`name`, which is also the name of a folder.

    Raises:
        InvalidSetting: no folder can be called so.
    """
    printable = name.isprintable() and name.strip(" .") == name and 0 < len(name) <= 200
    if not printable or any(character in name for character in '/\\:*?"<>|'):
        raise InvalidSetting(f"A study cannot be called {name!r}: its name is also that of a folder.")
    return name


def _check_baselines(recipe: Recipe, data: ImageData) -> None:
    names = set[str]()
    for source in recipe.baseline:
        baseline = load_baseline(source)
        check_baseline(baseline, data.info)
        if baseline.name in names:
            raise InvalidSetting(f"Two baselines are called {baseline.name!r}. Rename one of the files.")
        names.add(baseline.name)


def _continued(store: StoredStudy, asked: dict[str, Any]) -> Recipe:
    """The stored recipe with what this run asks for; a time limit is of one run alone.

    Raises:
        StudyError: it asks for something that would make the trials incomparable.
    """
    stored = store.recipe
    kept = {name: getattr(stored, name) for name in KEPT_AUTO if asked.get(name) == "auto"}
    recipe = Recipe.load(**dict(stored) | {"time_limit": None} | asked | kept)
    changes = stored.differences(recipe)
    if changes:
        listing = ", ".join(f"{name} {here!r} (asked: {there!r})" for name, here, there in changes)
        raise StudyError(
            f"Study {store.name!r} was made with {listing}; its trials could not be compared with new ones."
            " Leave the setting out, or start another study with --study OTHER."
        )
    return recipe


def _check_unchanged(store: StoredStudy, space: Space, data: ImageData) -> None:
    way_out = "Start another study with --study OTHER."
    if space.version != store.space_version:
        stored = f"version {store.space_version} of search space {space.name!r}, now it is {space.version}"
        raise StudyError(f"Study {store.name!r} was made with {stored}. {way_out}")
    if (data.fingerprint, data.split_digest) != (store.data["fingerprint"], store.data["split_digest"]):
        raise StudyError(
            f"The images of {store.recipe.data!r} have changed since study {store.name!r}. {way_out}"
        )


def open_images(recipe: Recipe, progress: Progress | None = None, *, rules: int) -> ImageData:
    """The dataset that a recipe names, read by these rules: those of its study.

    Raises:
        DataError: it cannot be had.
    """
    return open_data(
        recipe.data,
        split_seed=recipe.split_seed,
        image_size=recipe.image_size,
        data_dir=recipe.data_dir,
        skip_broken=recipe.skip_broken,
        max_pixels=recipe.max_pixels,
        rules=rules,
        progress=progress,
    )


def _facts(data: ImageData) -> dict[str, Any]:
    """What the study keeps of its dataset: enough to rebuild trials and to know the images again."""
    facts = asdict(data)
    del facts["folder"]
    return facts


def _exact_source(data: str) -> str:
    """A path made absolute, so that the study finds its images from any folder."""
    path = Path(data).expanduser()
    return os.path.abspath(path) if data not in known_datasets() and path.exists() else data
