"""A memory cap that few proposals meet: the search must find those, and must not flee to shallow networks."""

from collections import Counter
from statistics import mean

import optuna
import pytest
from optuna.trial import FixedTrial

from nas.driver.driver import Driver
from nas.driver.memory_budget import MemoryBudget
from nas.engines.messages import Ended
from nas.space import DataInfo
from nas.space.load import load_space
from nas.study.outcome import Outcome
from tests.scripted import CAP, ScriptedEngine, ScriptedPlanner, epoch

TRIALS = 20
SHARE = 0.05
"""Of random proposals that meet the cap."""
IMAGES = DataInfo(
    name="images", shape=(3, 32, 32), num_classes=10, num_train=1000, num_val=100, augmentations=("shift",)
)


def activations(proposal):
    """Numbers that all convolutions give for a batch."""
    net = proposal.architecture
    sizes = (filters * net.convs_per_stage * (32 >> stage) ** 2 for stage, filters in enumerate(net.filters))
    return proposal.training.batch_size * sum(sizes)


def convolutions(proposal):
    return len(proposal.architecture.filters) * proposal.architecture.convs_per_stage


@pytest.mark.slow
def test_under_a_cap_that_few_meet_all_trials_are_trained_and_none_shallower_than_chance(make_store):
    space = load_space("cnn_fc").of_version(1)
    dice = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    random = sorted((space.suggest(dice.ask(), IMAGES) for _ in range(400)), key=activations)
    within = random[: round(SHARE * len(random))]
    most = activations(within[-1])

    def need(number, proposal):
        return -(-CAP * activations(proposal) // most)

    def deeper_is_better(task):
        depth = convolutions(space.suggest(FixedTrial(task.params), IMAGES))
        yield epoch(task.number, 1, depth / 12)
        yield Ended(number=task.number, how="completed")

    store = make_store(trials=TRIALS, epochs=1, sampler="tpe", seed=0)
    engine = ScriptedEngine(deeper_is_better)
    memory = MemoryBudget(CAP, ["cpu"], {"cpu": CAP}, {})
    for _ in Driver(store, space, IMAGES, engine, ScriptedPlanner(engine, need), memory).run():
        pass

    records = store.trials()
    counts = Counter(record.outcome for record in records)
    assert counts[Outcome.COMPLETED] == TRIALS
    assert counts.keys() <= {Outcome.COMPLETED, Outcome.DOES_NOT_FIT, Outcome.DUPLICATE}
    assert counts[Outcome.DOES_NOT_FIT] < TRIALS / SHARE / 3  # what a blind sampler would waste
    trained = [
        convolutions(space.suggest(FixedTrial(record.params), IMAGES))
        for record in records
        if record.outcome is Outcome.COMPLETED
    ]
    assert mean(trained) >= mean(map(convolutions, within))
