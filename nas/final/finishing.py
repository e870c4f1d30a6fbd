"""From a study to the model that ships: retrain, choose, train on everything, test once. Read it first.

1. The best trials, the best of the random start and the baselines are retrained on several seeds.
2. The best trial by mean validation value, the metric of the study, over the seeds wins.
3. The winner, and what it is compared with, is trained once more on training and validation images, with its
   first seed. This is the model that ships.
4. The test images are opened, once, and classified by all of these.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean, stdev
from typing import Any

from nas.driver.prepare import Prepared
from nas.errors import SearchFailed
from nas.events import Notice, Watch
from nas.final.finalists import Finalist, choose_finalists
from nas.final.retraining import Trained, train_finalists
from nas.final.scores import class_accuracies, confusion_matrix, gain_interval
from nas.final.settings import FinalSettings
from nas.final.test_images import Labels, Predictions, Shipped, check_unopened, predict_test
from nas.metrics.base import ClassCounts, Named
from nas.study.openings import final_weights, keep_result

Trainings = Mapping[str, Sequence[Trained]]


def finish(run: Prepared, settings: FinalSettings, watch: Watch, *, again: bool = False) -> None:
    """Train the final model of a study and keep what the test images say of it.

    Stopped or killed before the test images are open, the next call with the same settings goes on.

    Args:
        again: open the test images although they were opened before.

    Raises:
        StudyError: no trial was completed, or the test images were opened before.
        SearchFailed: no network could be trained on every seed.
        KeyboardInterrupt: somebody stopped it.
    """
    check_unopened(run.store, again)
    run.store.storage.wait_out(lambda text: watch(Notice(text=text)))
    finalists = choose_finalists(run, settings)
    retrained = train_finalists(run, finalists, "retrain", settings.seeds, settings, watch)
    winner = _winner(finalists, retrained)
    chosen = [winner, *(each for each in finalists if each.rival and each is not winner)]
    trained = train_finalists(run, chosen, "ship", 1, settings, watch)
    shipped = [Shipped(each, trained[each.name][0]) for each in chosen if trained[each.name][0].completed]
    if not shipped or shipped[0].finalist is not winner:
        reason = trained[winner.name][0].record.reason
        raise SearchFailed(f"The final training of {winner.name} did not complete: {reason}.")
    opening, labels, predictions = predict_test(run, shipped, settings)
    metric = Named(run.store.recipe.metric)
    test = _test_result(metric, shipped, labels, predictions, run.data.info.num_classes)
    result = {
        "trial": winner.trial,
        "epochs": settings.epochs,
        "seed": shipped[0].trained.record.seed,
        "training": (shipped[0].trained.record.proposal or {}).get("training"),
        "weights": final_weights(opening),
        "versions": shipped[0].trained.record.versions,
        "ema": settings.ema,
        "compiled": settings.compile,
        "notes": [each.note for each in finalists if each.note],
        "retrained": [_retrained(each, retrained[each.name]) for each in finalists],
        **test,
    }
    keep_result(run.store, opening, result)


def _winner(finalists: Sequence[Finalist], retrained: Trainings) -> Finalist:
    """The best by mean validation value of those trained on every seed; the earlier of equals."""
    best = [each for each in finalists if each.may_win]
    whole = [each for each in best if all(one.completed for one in retrained[each.name])]
    if not whole:
        reasons = {one.record.reason for each in best for one in retrained[each.name]}
        why = "; ".join(sorted(reason for reason in reasons if reason))
        raise SearchFailed(f"None of the best trials could be trained on every seed: {why}.")
    return max(whole, key=lambda each: fmean(_values(retrained[each.name])))


def _values(trainings: Sequence[Trained]) -> list[float]:
    """On the validation images, of the seeds that were trained to the end."""
    return [one.record.value for one in trainings if one.record.value is not None]


def _retrained(finalist: Finalist, trainings: Sequence[Trained]) -> dict[str, Any]:
    """The validation values of a finalist, with their mean and standard deviation over seeds."""
    values = _values(trainings)
    failed = [one.record.reason for one in trainings if not one.completed]
    return {
        "name": finalist.name,
        "trial": finalist.trial,
        "rival": finalist.rival,
        "num_parameters": trainings[0].record.num_parameters,
        "values": values,
        "mean": fmean(values) if values else None,
        "deviation": stdev(values) if len(values) > 1 else None,
        "failures": failed,
    }


def _test_result(
    metric: Named,
    shipped: Sequence[Shipped],
    labels: Labels,
    predictions: Sequence[Predictions],
    classes: int,
) -> dict[str, Any]:
    """What the test images say of the winner, which comes first, and of what it is compared with."""
    ours = predictions[0]
    found = ClassCounts.of(labels, ours.plain, classes)
    value, confusion = metric.value(found), confusion_matrix(labels, ours.plain, classes)
    mirrored = None if ours.mirrored is None else ClassCounts.of(labels, ours.mirrored, classes)
    gains = []
    for each, theirs in zip(shipped, predictions, strict=True):
        if each.finalist.rival:
            their_value = metric.value(ClassCounts.of(labels, theirs.plain, classes))
            gains.append(
                {
                    "name": each.finalist.rival,
                    "trial": each.finalist.trial,
                    "test_value": their_value,
                    "test_accuracy": float((theirs.plain == labels).mean()),
                    "gain": value - their_value,
                    "interval": gain_interval(metric, labels, ours.plain, theirs.plain, classes),
                }
            )
    return {
        "images": len(labels),
        "metric": metric.name,
        "test_value": value,
        "interval": metric.interval(found),
        "test_accuracy": float((ours.plain == labels).mean()),
        "mirrored_value": None if mirrored is None else metric.value(mirrored),
        "mirrored_interval": None if mirrored is None else metric.interval(mirrored),
        "class_accuracies": class_accuracies(confusion),
        "confusion": confusion.tolist(),
        "gains": gains,
    }
