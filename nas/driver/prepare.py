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
from nas.datasets.finding import pinned
from nas.datasets.rules import NEWEST, rules_of
from nas.driver.resources import Resources, resolve
from nas.driver.starts import starts_of
from nas.errors import InvalidSetting, StudyError
from nas.machine.files import expanded
from nas.pruners.base import resolve_pruner
from nas.recipe import Recipe, given
from nas.space import DataInfo
from nas.space.contract import check_classes
from nas.space.load import Space, load_baseline, load_space, short_name
from nas.space.parameters import check_baseline
from nas.study.database import make_folder, open_database, storage_url
from nas.study.lock import study_lock
from nas.study.outcome import Outcome
from nas.study.reader import StudyReader, space_facts
from nas.study.replay import is_space_of, space_now, space_of
from nas.study.writer import StudyWriter

Progress = Callable[[int, int], None]

KEPT_AUTO = ("precision", "threads", "pruner", "memory_cap")
"""What `auto` meant when the study started is what it means for as long as the study lives."""

OF_A_NEW_STUDY = ("start", "warm_start")
"""Settings that say what is proposed first."""

UNCUT = {
    "pruner": "none",
    "patience": None,
    "target_accuracy": None,
    "time_limit": None,
    "sampler": "random",
    "log": (),
}
"""Settings of a baseline: it is trained to its end, if need be by a later run than the one that began it."""


@dataclass(frozen=True)
class Prepared:
    """All that one run of a search needs."""

    store: StudyWriter
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
    if "baseline" in asked:
        asked["baseline"] = tuple(load_baseline(each).source for each in recipe.baseline)
    if "data" in asked:
        asked["data"] = _exact_source(recipe.data)
    if asked.get("root"):
        asked["root"] = recipe.root.absolute() if recipe.root else None
    if "start" in asked:
        asked["start"] = tuple(each.absolute() for each in recipe.start)
    space_name = short_name(asked.get("space", recipe.space))
    name = _check_name(recipe.study or f"{space_name}-{source_name(recipe.data)}")
    url = storage_url(recipe.storage, recipe.folder)
    with closing(open_database(url, create=True)) as storage, study_lock(storage, name):
        store = StudyWriter.find(storage, name, recipe.folder) if StudyWriter.exists(storage, name) else None
        recipe = _continued(store, asked) if store else Recipe.load(**_begun(asked) | {"study": name})
        space = load_space(recipe.space, named="space" in asked).fixing(recipe.fixed)
        data = open_images(recipe, progress, rules=rules_of(store.data) if store else NEWEST)
        check_classes(recipe.fixed, data.classes)
        _check_baselines(recipe, data)  # before anything is trained
        resources = resolve(recipe, store.memory_cap if store else None)
        make_folder(recipe.folder / name)
        recipe = recipe.model_copy(
            update={
                "precision": resources.precision,
                "threads": resources.threads,
                "pruner": resolve_pruner(recipe.pruner),
            }
        )
        if store is None:
            starts = starts_of(space, data.info, recipe, storage)  # may fail in the user's code: before
            cap, facts = resources.memory_cap, _facts(data) | space_facts(space.digest, recipe.folder)
            store = StudyWriter.create(
                storage, name, recipe.folder, recipe, space.version, facts, cap, starts=starts
            )
        else:
            _check_unchanged(store, recipe, space, data)
            store.take_over(recipe, resources.memory_cap)
            store.take_over_space(space.source, space.digest)
        store.begin()
        yield Prepared(store, space, data, resources)


@contextmanager
def reopened(
    stored: StudyReader, progress: Progress | None, *, data: str | None = None, **settings: Any
) -> Iterator[Prepared]:
    """Hold the lock of a study whose search is over, for the length of the block; nothing of it is changed.

    Args:
        data: where its images lie now, if they have moved.
        settings: of this run alone, such as workers; one that is None is that of the study.

    Raises:
        NasError: whatever the user can mend.
    """
    with (
        closing(stored.storage),  # which may be open for reading alone
        closing(open_database(stored.storage.url)) as storage,
        study_lock(storage, stored.name),
    ):
        store = StudyWriter(storage, stored.name, stored.folder.parent)
        store.named_space = stored.named_space
        space = space_of(store)
        where = {"space": space.source, **images_now(store, _exact_source(data) if data else None)}
        recipe = Recipe.load(**dict(store.recipe) | UNCUT | where | given(settings))
        images = open_images(recipe, progress, rules=rules_of(store.data))
        _check_unchanged(store, recipe, space, images)
        yield Prepared(store, space, images, resolve(recipe, store.memory_cap))


def companions(run: Prepared) -> Iterator[Prepared]:
    """A study for each baseline of a recipe, of one trial with the same data, epochs and memory cap.

    Raises:
        StudyError: a baseline has changed since it was trained.
    """
    for source in run.store.recipe.baseline:
        bare = load_baseline(source, named=False)  # it was named, or checked, when the run was prepared
        check_baseline(bare, run.data.info)
        space = bare.fixing(run.store.recipe.fixed)
        name = f"{run.store.name}.{space.name}.{run.store.uuid[:8]}"  # of this very study
        recipe = run.store.recipe.model_copy(
            update={"study": name, "space": space.source, "baseline": (), "trials": 1} | UNCUT
        )
        store = next((store for store in run.store.companions() if store.name == name), None)
        if store is None:
            store = run.store.add_companion(name, recipe, space.version, space.digest)
        else:
            store.take_over_space(space.source, space.digest)
        store.begin()
        last = store.trials()[-1]
        if last.outcome is Outcome.FAILED:
            store.enqueue({})  # another attempt at every run
        elif last.digest not in {None, *(_only_digest(each, run.data.info) for each in (space, bare))}:
            raise StudyError(
                f"Baseline {space.name!r} has changed since it was trained beside {run.store.name!r}. Give"
                " the new one another name, or start another study with --study OTHER."
            )
        resources = replace(run.resources, devices=run.resources.devices[:1])
        yield Prepared(store, space, run.data, resources)


def _only_digest(baseline: Space, info: DataInfo) -> str:
    """Of the one proposal of a baseline: an earlier nas kept it without the training that is fixed."""
    return baseline.suggest(FixedTrial({}), info).digest


def _check_name(name: str) -> str:
    """`name`, which is also the name of a folder.

    Raises:
        InvalidSetting: no folder can be called so.
    """
    printable = name.isprintable() and name.strip(" .") == name and 0 < len(name) <= 200
    if not printable or any(character in name for character in '/\\:*?"<>|'):
        raise InvalidSetting(
            f"A study cannot be called {name!r}: its name is also a folder's. Give another with --study."
        )
    return name


def _check_baselines(recipe: Recipe, data: ImageData) -> None:
    names = set[str]()
    for source in recipe.baseline:
        baseline = load_baseline(source, named=False)  # those that are asked for have been named by now
        check_baseline(baseline, data.info)
        if baseline.name in names:
            raise InvalidSetting(f"Two baselines are called {baseline.name!r}. Rename one of the files.")
        names.add(baseline.name)


def _begun(asked: dict[str, Any]) -> dict[str, Any]:
    """The settings of a new study: what may come to mean other images is made exact."""
    return asked | {"data": pinned(asked["data"])} if "data" in asked else asked


def _continued(store: StudyReader, asked: dict[str, Any]) -> Recipe:
    """The stored recipe with what this run asks for; a time limit is of one run alone.

    Raises:
        StudyError: it asks for something that would make the trials incomparable.
    """
    stored = store.recipe
    moved = asked.get("data") if _is_path(stored.data) and _is_path(asked.get("data", "")) else None
    now: dict[str, Any] = {"space": space_now(store), **images_now(store, moved)}
    now["baseline"] = tuple(
        str(store.where_now(each)) if _is_path(each) else each for each in stored.baseline
    )
    if "space" in asked and is_space_of(store, load_space(asked["space"])):
        now["space"] = asked["space"]
    if "data" in asked and _names_pinned(asked["data"], stored.data):
        asked = asked | {"data": stored.data}
    if not moved and _is_path(now["data"]) and not os.path.exists(now["data"]):
        raise StudyError(
            f"No dataset at {now['data']}, where study {store.name!r} has its images. If they have moved,"
            " name them: --data PATH."
        )
    stored = stored.model_copy(update=now)
    for name in OF_A_NEW_STUDY:
        if asked.get(name) and asked[name] != getattr(stored, name):
            raise StudyError(
                f"Study {store.name!r} has begun already: --{name.replace('_', '-')} is for a new one. Leave"
                " it out, or start another study with --study OTHER."
            )
    asked = {name: value for name, value in asked.items() if name not in OF_A_NEW_STUDY}
    kept = {name: getattr(stored, name) for name in KEPT_AUTO if asked.get(name) == "auto"}
    recipe = Recipe.load(**dict(stored) | {"time_limit": None} | asked | kept)
    changes = stored.differences(recipe)
    if changes:
        listing = ", ".join(f"{name} {here!r} (asked: {there!r})" for name, here, there in changes)
        raise StudyError(
            f"Study {store.name!r} was made with {listing}; its trials could not be compared with new ones."
            f"{_OTHER_FILE if _is_path(recipe.space) and changes[0][0] == 'space' else ''}"
            " Leave the setting out, or start another study with --study OTHER."
        )
    return recipe


_OTHER_FILE = " A file that has moved is the same as long as what it holds is the same: this one differs."


def _names_pinned(source: str, stored: str) -> bool:
    """Whether it is what `stored` was before it was made exact, when the study began: the same without a
    revision, or with one that still means the same."""
    if source == stored or _is_path(stored) or stored.rpartition("@")[0] != source.partition("@")[0]:
        return False
    return "@" not in source or pinned(source) == stored


def _is_path(source: str) -> bool:
    return os.path.isabs(source)


def _check_unchanged(store: StudyReader, recipe: Recipe, space: Space, data: ImageData) -> None:
    way_out = "Start another study with --study OTHER."
    if space.version != store.space_version:
        stored = f"version {store.space_version} of search space {space.name!r}, now it is {space.version}"
        raise StudyError(
            f"Study {store.name!r} was made with {stored}. Start another one from its best trials:"
            f" --warm-start {store.name} --study OTHER."
        )
    if (data.fingerprint, data.split_digest) == (store.data["fingerprint"], store.data["split_digest"]):
        return
    if recipe.data != store.recipe.data:
        raise StudyError(
            f"The images of {recipe.data!r} are not those of study {store.name!r}, which were in"
            f" {store.recipe.data!r}. Name these with --data, or start another study with --study OTHER."
        )
    raise StudyError(
        f"The images of {store.recipe.data!r} have changed since study {store.name!r}. {way_out}"
    )


def images_now(store: StudyReader, moved: str | None = None) -> dict[str, Any]:
    """The settings that find the dataset of a study: it may have moved together with the study's folder.

    Args:
        moved: where the dataset lies now; the same if its fingerprint is.
    """
    data, root = store.recipe.data, store.recipe.root
    found = moved or (str(store.where_now(data)) if _is_path(data) else data)
    if root is not None:
        root = store.where_now(str(root))
        if not root.exists():  # it may have moved together with the table
            root = Path(os.path.normpath(Path(found) / os.path.relpath(root, data)))
    return {"data": found, "root": root}


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
        columns=recipe.columns,
        root=recipe.root,
        depth=recipe.depth,
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
    path = expanded(data)
    return os.path.abspath(path) if data not in known_datasets() and path.exists() else data
