"""What must hold of a study, whatever was done to the processes that made it."""

from __future__ import annotations

from pathlib import Path

import psutil
import torch
from sqlalchemy import select

import nas
from nas.datasets import ImageData, open_data
from nas.engines.local import LocalEngine
from nas.engines.messages import Ended, Message, Setup, Task, Trained
from nas.memory.planned import MemoryPlan
from nas.study import tables
from nas.study.outcome import Outcome
from nas.study.records import TrialRecord
from nas.study.writer import StudyWriter
from nas.training.evaluate import evaluate
from nas.training.images import Images
from tests.chaos.killing import EPOCHS, Toll

Curve = list[tuple[float | None, ...]]


def check(study: nas.Study, toll: Toll) -> None:
    """Nothing is lost, nothing is there twice, nothing still runs."""
    check_records(study.store, toll.asked, EPOCHS)
    check_files(study)
    _, alive = psutil.wait_procs(toll.workers, timeout=20)
    assert not alive, "no worker outlives its driver"


def check_records(store: StudyWriter, asked: int, epochs: int) -> None:
    """Our tables and Optuna's, of a study of so many trials with so many epochs each."""
    records = store.trials()
    charged = [record for record in records if record.outcome.charged]
    assert len(charged) == asked
    assert len({record.digest for record in charged}) == len(charged), "none is counted twice"
    assert [record.number for record in records] == list(range(len(records)))
    _check_retries(records)
    _check_epochs(store, records, epochs)
    _check_optuna(store, records)


def _check_retries(records: list[TrialRecord]) -> None:
    """Every trial that was cut short has been tried again, once, and the last of the chain has ended."""
    assert not {record.outcome for record in records} & {Outcome.RUNNING, Outcome.WAITING}
    interrupted = {r.number: r for r in records if r.outcome is Outcome.INTERRUPTED}
    retries = [record for record in records if record.retry_of is not None]
    assert sorted(retry.retry_of for retry in retries) == sorted(interrupted)
    for retry in retries:
        before = interrupted[retry.retry_of]
        assert before.params.items() <= retry.params.items()
        assert None in (before.seed, retry.seed) or before.seed == retry.seed


def _check_epochs(store: StudyWriter, records: list[TrialRecord], epochs: int) -> None:
    mine = tables.epochs.c.study_uuid == store.uuid
    query = select(tables.epochs.c.number, tables.epochs.c.epoch).where(mine)
    rows = [(row["number"], row["epoch"]) for row in store.storage.read(query)]
    lengths = {record.number: len(record.epochs) for record in records}
    assert sorted(rows) == [(number, epoch + 1) for number, n in lengths.items() for epoch in range(n)]
    for record in records:
        if record.outcome is Outcome.COMPLETED:
            assert lengths[record.number] == epochs
            assert record.value == record.epochs[-1].val_accuracy


def _check_optuna(store: StudyWriter, records: list[TrialRecord]) -> None:
    for record, frozen in zip(records, store.optuna_study.get_trials(), strict=True):
        assert frozen.state is record.outcome.state
        if record.outcome is Outcome.COMPLETED:
            assert frozen.value == record.value
        if record.outcome.charged:
            told = {epoch.number: epoch.val_accuracy for epoch in record.epochs}
            assert frozen.intermediate_values == told


def check_files(study: nas.Study) -> None:
    """The best weights score what is recorded; of checkpoints nothing is left."""
    assert not list((study.store.folder / "checkpoints").glob("*"))
    completed = [record for record in study.store.trials() if record.outcome is Outcome.COMPLETED]
    best = sorted(completed, key=lambda record: (-(record.value or 0), record.number))[:3]
    torch.set_num_threads(1)
    images = Images.load(digits(), torch.device("cpu"))
    for record in best:
        model = study.trial(record.number).load_model()
        _, counts = evaluate(model, images, images.val, precision="fp32", batch_size=512)
        assert counts.hits.sum() / len(images.val) == record.value, record.number


def check_curves(study: nas.Study, folder: Path, most: int) -> int:
    """Train some of the trials that were cut short again, undisturbed: they learn the same.

    Returns how many were compared.
    """
    records = study.store.trials()
    wanted = [r for r in records if r.outcome is Outcome.COMPLETED and (r.retry_of is not None or r.deaths)]
    setup = Setup(
        space=study.store.recipe.space,
        training={},
        data=str(digits().folder),
        device="cpu",
        threads=1,
        precision="fp32",
    )
    folder.mkdir()
    engine = LocalEngine(setup, ["cpu"], folder)
    try:
        for record in wanted[:most]:
            recorded = [(e.train_loss, e.val_loss, e.val_accuracy) for e in record.epochs]
            assert _undisturbed(engine, record, folder) == recorded, record.number
    finally:
        engine.close()
    return len(wanted[:most])


def _undisturbed(engine: LocalEngine, record: TrialRecord, folder: Path) -> Curve:
    assert record.plan is not None
    assert record.seed is not None
    assert record.predicted is not None
    task = Task(
        number=record.number,
        params=record.params,
        seed=record.seed,
        epochs=len(record.epochs),
        plan=MemoryPlan(**record.plan, reservation=record.predicted, memory=None),
        weights=str(folder / f"{record.number}.safetensors"),
        checkpoint=str(folder / f"{record.number}.pt"),
    )
    engine.start(0, task)
    said: list[Message] = []
    while not any(isinstance(message, Ended) for message in said):
        said += engine.messages(1.0)
    epochs = [message.epoch for message in said if isinstance(message, Trained)]
    return [(epoch.train_loss, epoch.val_loss, epoch.val_accuracy) for epoch in epochs]


def digits() -> ImageData:
    return open_data("digits")
