"""What a final training is made of: finalists, seeds, joined images, mirrored predictions."""

import sqlite3

import optuna
import pytest
import torch
from optuna.trial import FixedTrial
from torch import nn

import nas
from nas.datasets import open_data
from nas.driver.driver import Driver
from nas.driver.memory_budget import MemoryBudget
from nas.driver.prepare import reopened
from nas.errors import StudyError
from nas.events import SearchEnded
from nas.final.finalists import Finalist, choose_finalists
from nas.final.retraining import enqueue_missing
from nas.final.seeded import SEED, SeededSpace
from nas.final.settings import FinalSettings
from nas.final.test_images import predict
from nas.space.load import load_space
from nas.study.database import open_database
from nas.study.outcome import Outcome
from nas.study.writer import StudyWriter
from nas.training.images import Examples, Images, Joined
from tests.conftest import DIGITS
from tests.final.conftest import STUDY
from tests.scripted import CAP, ScriptedEngine, ScriptedPlanner, ends, learns


def finalists(study: nas.Study, **settings: object) -> list[Finalist]:
    with reopened(study.store, None) as run:
        asked = FinalSettings.checked(study.store.recipe, run.data.info, "cpu", **settings)
        return choose_finalists(run, asked)


# finalists --------------------------------------------------------------------------------------------------


def test_a_schedule_that_needs_validation_images_is_replaced_and_said(copied):
    study = nas.load_study(STUDY, folder=copied().folder)
    plateau = study.store.recipe.model_copy(update={"training": {"schedule": "plateau"}})
    database = open_database(study.store.storage.url)
    StudyWriter(database, STUDY, study.store.folder.parent).take_over(plateau, study.store.memory_cap)
    with sqlite3.connect(study.store.folder.parent / "nas.db") as database:
        database.execute("UPDATE nas_trials SET digest = NULL")
    found = finalists(study)
    assert found[0].space.training == {"schedule": "cosine"}
    assert found[0].note == f"{found[0].name}: its schedule plateau needs validation images, " + (
        "it is trained with cosine"
    )
    assert found[-1].note is None, "the baseline was trained with another schedule"


def test_an_average_of_weights_is_part_of_every_training(searched):
    study = nas.load_study(STUDY, folder=searched.folder)
    with_average = finalists(study, ema=0.9)
    assert [each.space.training for each in with_average] == [{"ema_decay": 0.9}] * len(with_average)
    without = {each.digest for each in finalists(study)}
    assert not without & {each.digest for each in with_average}


def test_the_best_trials_come_first_and_each_network_once(searched):
    study = nas.load_study(STUDY, folder=searched.folder)
    ranked = sorted(study.trials, key=lambda trial: -trial.value)
    found = finalists(study, top=1)
    assert [each.name for each in found] == [f"trial {ranked[0].number}", "logistic"]
    assert found[0].may_win
    assert found[0].rival == "best of the random start"
    assert len(finalists(study, top=50)) == 4


def test_the_epochs_are_twice_those_of_the_search(searched):
    recipe = nas.load_study(STUDY, folder=searched.folder).store.recipe
    assert FinalSettings.checked(recipe, DIGITS, "cpu").epochs == 2 * recipe.epochs


def test_a_trial_whose_space_has_changed_is_refused(copied):
    study = nas.load_study(STUDY, folder=copied().folder)
    with sqlite3.connect(study.store.folder.parent / "nas.db") as database:
        database.execute("UPDATE nas_trials SET digest = 'another'")
    with pytest.raises(StudyError, match="cannot be rebuilt"):
        finalists(study)


# seeds ------------------------------------------------------------------------------------------------------


def test_each_seed_of_a_proposal_has_a_digest_and_a_seed_of_its_own(searched):
    params = nas.load_study(STUDY, folder=searched.folder).trials[0].params
    space = SeededSpace.of(load_space("mlp"))
    made = [space.suggest(FixedTrial(params | {SEED: number}), DIGITS) for number in (0, 1, 0)]
    plain = load_space("mlp").suggest(FixedTrial(params), DIGITS)
    assert made[0].digest == made[2].digest
    assert len({plain.digest, made[0].digest, made[1].digest}) == 3
    assert len({each.seed(0) for each in (plain, *made)}) == 3
    assert made[0].description == plain.description


def test_a_listed_driver_trains_what_is_enqueued_and_nothing_else(make_store):
    store = make_store(trials=5)
    space = load_space("mlp")
    wanted = list(_params(space, 2))
    for params in wanted:
        store.enqueue(params)
    broken = True

    def script(task):
        nonlocal broken
        fails, broken = broken, False
        return (ends("failed") if fails else learns(0.5))(task)

    engine = ScriptedEngine(script)
    memory = MemoryBudget(CAP, ["cpu"], {"cpu": 10 * CAP}, {})
    planner = ScriptedPlanner(engine, lambda number, proposal: 10)
    events = list(Driver(store, space, DIGITS, engine, planner, memory, listed=True).run())
    records = store.trials()
    assert [record.outcome for record in records] == [Outcome.FAILED, Outcome.COMPLETED]
    assert [record.params for record in records] == wanted
    assert events[-1] == SearchEnded(why="exhausted")


def test_when_nothing_is_left_to_train_the_settings_stay(make_store):
    store, space = make_store(trials=5), load_space("mlp")
    trial = store.ask()
    proposal = space.suggest(trial, DIGITS)
    store.enter(trial, proposal, 7, Outcome.DOES_NOT_FIT, excess=0.5, reason="too big")
    assert enqueue_missing(store, [trial.params]) == 0
    assert store.recipe.trials == 5


def _params(space, number):
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    for _ in range(number):
        trial = study.ask()
        space.suggest(trial, DIGITS)
        yield trial.params


# images -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("resident", [True, False])
def test_joined_splits_give_the_rows_of_both(resident):
    data = open_data("digits")
    images = Images.load(data, torch.device("cpu"), resident=resident)
    joined = images.with_val().train
    assert isinstance(joined, Joined)
    whole = torch.cat([images.train.images, images.val.images])
    labels = torch.cat([images.train.labels, images.val.labels])
    assert len(joined) == len(labels)
    order = torch.randperm(len(joined), generator=torch.Generator().manual_seed(0))
    batches = list(joined.batches(order, 100))
    assert torch.equal(torch.cat([pixels for pixels, _ in batches]), whole[order])
    assert torch.equal(torch.cat([label for _, label in batches]), labels[order])


def test_mirrored_predictions_average_an_image_and_its_mirror_image():
    class Columns(nn.Module):
        """Logits that a mirror changes."""

        def forward(self, images):
            sums = images.sum(dim=(1, 2))
            return torch.stack([sums[:, 1], 1.5 * sums[:, 6], sums[:, 2]], dim=1)

    data = open_data("digits")
    images = Images.load(data, torch.device("cpu"))
    examples = Examples.load(data.val, torch.device("cpu"))
    found = predict(Columns(), images, examples, precision="fp32", batch_size=64, mirror=True)
    inputs = images.normalise(examples.images.clone())
    plain, mirrored = Columns()(inputs), Columns()(inputs.flip(-1))
    assert found.plain.tolist() == plain.argmax(1).tolist()
    assert found.mirrored.tolist() == (plain + mirrored).argmax(1).tolist() != found.plain.tolist()
    alone = predict(Columns(), images, examples, precision="fp32", batch_size=64, mirror=False)
    assert alone.mirrored is None
