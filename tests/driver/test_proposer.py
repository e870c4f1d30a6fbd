"""The driver and what is proposed: what does not fit, what runs out of memory, what was trained before."""

from contextlib import suppress
from dataclasses import replace
from itertools import pairwise

import pytest
from optuna.samplers import PartialFixedSampler, RandomSampler

from nas.driver.proposer import LEAST_EXCESS
from nas.errors import SearchFailed
from nas.events import Notice, SearchEnded
from nas.memory.calibration import Calibration
from nas.space.load import load_space
from nas.study.outcome import Outcome
from nas.study.writer import StudyWriter
from tests.grids import first_of
from tests.scripted import CAP, ends, epoch, learns, outcomes, run

# memory ----------------------------------------------------------------------------------------------------


def test_a_proposal_that_does_not_fit_is_told_to_the_sampler_and_not_charged(make_store, mlp):
    store = make_store(trials=3, epochs=1)
    _, engine = run(store, mlp, learns(0.5), need=lambda number, _: 150 if number in (1, 2) else 40)
    assert outcomes(store) == ["completed", "does_not_fit", "does_not_fit", "completed", "completed"]
    assert [task.number for task in engine.given] == [0, 3, 4]
    record = store.trials()[1]
    reason = "needs 1 KiB, the memory cap is 1 KiB; the largest part is activations with 1 KiB"
    assert (record.reason, record.predicted, record.value) == (reason, 150, None)
    constraints = [trial.constraints["memory"] for trial in store._study.trials]
    assert constraints == pytest.approx([-0.6, 0.5, 0.5, -0.6, -0.6])
    assert [trial.state.name for trial in store._study.trials[1:3]] == ["PRUNED", "PRUNED"]


def test_a_search_in_which_nothing_fits_ends_with_the_smallest_cap_that_would_do(
    make_store, mlp, monkeypatch
):
    monkeypatch.setattr("nas.driver.proposer.UNFIT", 7)
    store = make_store(trials=3)
    with pytest.raises(SearchFailed, match=r"None of the last 7 proposals fits .* --memory-cap 4MiB"):
        run(store, mlp, learns(0.5), need=lambda number, _: (10 - number) * 2**20)
    assert outcomes(store) == ["does_not_fit"] * 7


def test_a_trial_that_runs_out_of_memory_goes_on_with_a_more_frugal_plan(make_store, mlp):
    store = make_store(trials=1, epochs=2)

    def script(task):
        if task.plan.accumulation == 1:
            return iter([epoch(task.number, 1, 0.4), *ends("out of memory", "8 bytes too many")(task)])
        return iter(
            [epoch(task.number, 1, 0.4, again=True), epoch(task.number, 2), *ends("completed", "")(task)]
        )

    events, engine = run(store, mlp, script)
    (record,) = store.trials()
    assert (record.outcome, record.recoveries) == (Outcome.COMPLETED, 1)
    assert record.plan == {"micro_batch": 32, "accumulation": 2, "checkpointing": False}
    assert [task.plan.micro_batch * task.plan.accumulation for task in engine.given] == [64, 64]
    assert any("8 bytes too many" in event.text for event in events if isinstance(event, Notice))


def test_a_trial_that_no_plan_can_train_is_pruned_with_a_constraint_from_what_it_needed(make_store, mlp):
    store = make_store(trials=1)
    run(store, mlp, ends("out of memory", "8 bytes too many"))
    (record,) = store.trials()
    assert (record.outcome, record.reason) == (Outcome.PRUNED, "out of memory: 8 bytes too many")
    (frozen,) = store._study.trials
    assert frozen.constraints["memory"] < 0 < frozen.constraints["oom"]


def test_what_a_trial_measures_is_kept_and_corrects_the_next_prediction(make_store, mlp):
    store = make_store(trials=2, epochs=1)

    def script(task):
        return iter(
            [measured(epoch(task.number, 1), 2 * task.plan.reservation), *ends("completed", "")(task)]
        )

    run(store, mlp, script)
    kept = StudyWriter.find(store._storage, store.name, store.folder.parent).calibration
    assert Calibration.from_json(kept["cpu"]).factor > 1


# duplicates ------------------------------------------------------------------------------------------------


def test_a_proposal_that_was_trained_before_is_told_with_its_curve_and_not_charged(make_store, tmp_path):
    store = make_store(trials=3, epochs=2)
    space = small_space(tmp_path, choices=3)
    _, engine = run(store, space, lambda task: learns(0.1, 0.2 + 0.1 * task.params["x"])(task))
    records = store.trials()
    duplicates = [record for record in records if record.outcome is Outcome.DUPLICATE]
    assert len(engine.given) == 3
    assert len({record.digest for record in records}) == 3
    assert duplicates, "a random sampler repeats itself in a space of three"
    for record in duplicates:
        earlier = records[record.duplicate_of]
        assert (record.digest, record.reason) == (earlier.digest, f"the same as trial {earlier.number}")
        frozen = store._study.trials[record.number]
        assert frozen.state.name == "PRUNED"
        assert frozen.intermediate_values == {e.number: e.val_accuracy for e in earlier.epochs}


@pytest.mark.parametrize("resumed", first_of(1, [True, False]))
@pytest.mark.parametrize(
    ("workers", "script", "needed", "constraints"),
    [
        (2, learns(0.5), CAP // 2, {"memory": -0.5}),
        (1, learns(0.5), 10 * CAP, {"memory": 9.0}),
        (2, learns(0.5), 10 * CAP, {"memory": 9.0}),  # it is asked for before the first is planned
        (1, ends("out of memory"), CAP, {"memory": 0.0, "oom": LEAST_EXCESS}),
    ],
    ids=["trained", "does not fit", "neither does", "out of memory"],
)
def test_a_duplicate_is_told_with_the_constraints_of_the_first(
    make_store, tmp_path, monkeypatch, workers, resumed, script, needed, constraints
):
    monkeypatch.setattr("nas.driver.duplicates.EXHAUSTED", 3)
    store = make_store(trials=9, epochs=1)
    space = small_space(tmp_path, choices=1)
    for _ in range(1 + resumed):
        with suppress(SearchFailed):
            run(store, space, script, workers, need=lambda number, _: needed)
        store.begin()
    records = store.trials()
    assert len(records) == 4 + 3 * resumed
    assert {record.outcome for record in records[1:]} == {Outcome.DUPLICATE}
    assert [trial.constraints for trial in store._study.trials] == [constraints] * len(records)


@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
def test_a_sampler_that_repeats_itself_does_not_end_a_search_that_has_more_to_find(
    make_store, tmp_path, monkeypatch
):
    def make(name, seed, trials_so_far):
        drawn = RandomSampler(seed=trials_so_far)
        return drawn if name == "random" else PartialFixedSampler({"x": 0}, drawn)

    monkeypatch.setattr("nas.study.writer.make_sampler", make)
    monkeypatch.setattr("nas.driver.duplicates.EXHAUSTED", 12)
    store = make_store(sampler="tpe", trials=4, epochs=1)
    events, _ = run(store, small_space(tmp_path, choices=100), learns(0.5))
    assert events[-1] == SearchEnded(why="trials")
    found = [record for record in store.trials() if record.outcome is Outcome.COMPLETED]
    repeated = [later.number - sooner.number - 1 for sooner, later in pairwise(found)]
    assert repeated[0] == 6, "then one is drawn at random"
    assert min(repeated[1:]) >= 6, "and the sampler is asked again after each that is new"


def test_a_space_with_nothing_new_to_offer_ends_the_search(make_store, tmp_path, monkeypatch):
    monkeypatch.setattr("nas.driver.duplicates.EXHAUSTED", 12)
    store = make_store(trials=10, epochs=1)
    events, engine = run(store, small_space(tmp_path, choices=2), learns(0.5))
    assert events[-1] == SearchEnded(why="exhausted")
    assert len(engine.given) == 2
    assert outcomes(store)[-12:] == ["duplicate"] * 12


def test_a_proposal_whose_trial_failed_may_be_tried_again(make_store, tmp_path):
    store = make_store(trials=1, epochs=1)
    space = small_space(tmp_path, choices=1)
    run(store, space, lambda task: (ends("failed") if task.number == 0 else learns(0.5))(task))
    assert outcomes(store) == ["failed", "completed"]


def small_space(folder, choices):
    file = folder / "small.py"
    file.write_text(f"""
from search_spaces.mlp import Mlp
from nas.space import Proposal, Training

def suggest(trial, data):
    units = 16 * (1 + trial.suggest_int("x", 0, {choices - 1}))
    network = Mlp(fc_units=(units,), batch_norm=False, dropout=0.0, initialisation="he")
    return Proposal(network, Training(batch_size=32, optimizer="sgd", learning_rate=0.1))
""")
    return load_space(str(file))


def measured(message, size):
    return replace(message, epoch=replace(message.epoch, peak_allocated=size))
