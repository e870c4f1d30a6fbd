"""What `nas show` prints: the trials of a study, and some of them side by side."""

from dataclasses import replace
from datetime import timedelta

import pytest

from nas.study.outcome import Outcome
from nas.views.terminal.comparison import comparison_page
from nas.views.terminal.trials import LISTED, study_page
from tests.views.terminal.samples import HOSTILE, assert_fits, epoch, row_of, text_of


def test_a_study_lists_its_trials_and_marks_the_best(study):
    shown = assert_fits(study_page(study, 80))
    assert [line.split()[1] for line in shown.splitlines() if line.strip().startswith("*")] == ["1"]
    assert row_of(shown, "0")[:6] == ["0", "completed", "0.7500", "3", "123k", "600"]
    assert "flat: no better" in " ".join(row_of(shown, "2"))
    assert "OutOfMemoryError:" in row_of(shown, "3")
    assert "2 completed, 1 pruned, 1 failed, 1 interrupted" in shown


def test_trials_that_were_not_trained_are_listed_with_their_reason_and_counted(make_study):
    endings = [
        (Outcome.COMPLETED, 0.5, None),
        (Outcome.DOES_NOT_FIT, None, "needs 9 GiB"),
        (Outcome.DUPLICATE, None, "the same as trial 0"),
    ]
    shown = assert_fits(study_page(make_study(endings), 80))
    assert "does not fit" in " ".join(row_of(shown, "1"))
    assert "needs 9 GiB" in " ".join(row_of(shown, "1"))
    assert "the same as trial 0" in " ".join(row_of(shown, "2"))
    assert "1 completed, 1 did not fit, 1 duplicate" in shown


@pytest.mark.parametrize("width", [60, 80, 100, 200])
def test_a_list_tells_the_memory_and_where_there_is_room_its_prediction_and_the_time(study, width):
    shown = assert_fits(study_page(study, width), width)
    headings = next(line.split() for line in shown.splitlines() if line.strip().startswith("trial"))
    assert "memory" in headings
    assert ("epochs" in headings) == ("params" in headings) == (width > 60)
    assert ("predicted" in headings) == ("time" in headings) == (width >= 100)
    if width >= 100:
        assert row_of(shown, "0")[5:9] == ["600", "MiB", "200", "MiB"]  # context is not measured


def test_a_list_without_memory_has_the_time(make_study):
    study = make_study([(Outcome.FAILED, None, "boom")])
    (record,) = study.store.trials()
    study.store.trials = lambda: [replace(record, epochs=(), predicted_memory=None)]
    shown = assert_fits(study_page(study, 80))
    assert "memory" not in shown
    assert "0:00" in row_of(shown, "0")


def test_a_study_tells_what_it_had_after_some_times_and_what_these_were_spent_on(make_study):
    endings = [(Outcome.COMPLETED, number / 10, None) for number in range(8)]
    study = make_study([*endings, (Outcome.PRUNED, None, "flat"), (Outcome.DUPLICATE, None, "the same")])
    stored = study.store.trials()
    begun = stored[0].started_at
    timed = [
        replace(
            record,
            started_at=begun + timedelta(seconds=10 * record.number),
            finished_at=begun + timedelta(seconds=10 * record.number + 10),
        )
        for record in stored
    ]
    study.store.trials = lambda: timed
    shown = " ".join(assert_fits(study_page(study, 80)).split())
    assert "best so far 0.0000 after 0:10, 0.2000 after 0:30, 0.4000 after 0:50, 0.5000 after 1:00," in shown
    assert "0.7000 after 1:20 time spent completed 1:20 (89%), pruned 0:10 (11%)" in shown
    study.store.trials = lambda: [replace(record, started_at=None, finished_at=None) for record in stored]
    shown = " ".join(assert_fits(study_page(study, 80)).split())
    assert "no times of 9 trials" in shown
    assert "best so far" not in shown


def test_the_best_trials_are_drawn(make_study):
    study = make_study([(Outcome.COMPLETED, number / 10, None) for number in range(6)])
    chart = assert_fits(study_page(study, 80)).partition("Validation accuracy\n")[2]
    assert [number for number in range(6) if f"trial {number}" in chart] == [2, 3, 4, 5]


def test_an_empty_study_is_listed(make_study):
    assert "none" in assert_fits(study_page(make_study([]), 80))


def test_of_many_trials_the_best_and_the_latest_are_listed(make_study):
    study = make_study([(Outcome.COMPLETED, number / 100, None) for number in [90, 10, 80]])
    (first, bad, good) = study.store.trials()
    records = [
        replace(first, number=0),
        *(replace(bad, number=n) for n in range(1, 200)),
        replace(good, number=200),
    ]
    study.store.trials = lambda: records
    shown = text_of(study_page(study, 80))
    rows = shown.partition("The best")[0].replace("*", " ").splitlines()
    numbers = [int(line.split()[0]) for line in rows if line.strip()[:1].isdigit()]
    assert [number for number in numbers if number != 201][:LISTED] == [*range(LISTED // 2), *range(181, 201)]
    assert "The best and the latest of 201 trials.\n" in shown
    assert f"all of them nas show mlp-digits --all --folder {study.store.folder.parent}\n" in shown


def test_every_trial_of_a_long_study_is_listed_when_asked_for(make_study):
    study = make_study([(Outcome.COMPLETED, 0.5, None)])
    (record,) = study.store.trials()
    study.store.trials = lambda: [replace(record, number=number) for number in range(201)]
    shown = assert_fits(study_page(study, 80, everything=True))
    assert all(row_of(shown, str(number)) for number in range(1, 201))
    assert "nas show" not in shown


def rows_of(page) -> dict[str, tuple[bool, str]]:
    """By name: whether a row is marked, and its values."""
    lines = [line for line in text_of(page).splitlines() if line[:1] in " ≠" and len(line) > 2]
    return {line[3:27].strip(): (line[0] == "≠", " ".join(line[27:].split())) for line in lines}


def two_trials(study, **changes):
    """Trial 0, and the same with another width, learning rate and memory."""
    first = replace(study.store.trials()[0], params={"log2_units": 6, "layers": 1})
    architecture = first.proposal["architecture"] | {"fc_units": [512, 256], "batch_norm": False}
    training = first.proposal["training"] | {"learning_rate": 0.5}
    other = {"architecture": architecture, "training": training}
    params = {"log2_units": 9, "layers": 1}
    return first, replace(first, number=12, proposal=other, params=params, **changes)


def test_trials_are_compared_side_by_side_and_what_differs_is_marked(study):
    page = comparison_page(two_trials(study, value=0.25, num_parameters=999))
    assert_fits(page)
    rows = rows_of(page)
    first = study.store.trials()[0].proposal
    assert rows["validation accuracy"] == (True, "0.7500 0.2500")
    assert rows["parameters"] == (True, "123k 999")
    assert rows["outcome"] == (False, "completed completed")
    assert rows["memory predicted"] == (False, "200 MiB 200 MiB")
    assert rows["memory measured"] == (False, "600 MiB 600 MiB")
    assert rows["batches"] == (False, "4 x 32 images, 4 x 32 images, checkpoints")
    units = "-".join(str(each) for each in first["architecture"]["fc_units"])
    assert rows["fc units"] == (True, f"{units} 512-256")
    assert rows["batch size"] == (
        False,
        f"{first['training']['batch_size']} {first['training']['batch_size']}",
    )
    assert rows["learning rate"] == (True, f"{first['training']['learning_rate']:.3g} 0.5")


def test_of_the_searchs_parameters_those_that_differ_are_compared(study):
    rows = rows_of(comparison_page(two_trials(study)))
    assert rows["log2 units"] == (True, "6 9")
    assert "layers" not in rows


def test_a_comparison_draws_all_curves_in_one_chart(study):
    curves = {0: [0.1, 0.5, 0.75], 12: [0.2, 0.3, 0.25]}
    records = [
        replace(record, epochs=tuple(epoch(n, value) for n, value in enumerate(curves[record.number], 1)))
        for record in two_trials(study)
    ]
    chart = assert_fits(comparison_page(records)).partition("Validation accuracy\n")[2]
    assert "0.7500┤" in chart
    assert "trial 0" in chart
    assert "trial 12" in chart


@pytest.mark.parametrize("number", [2, 3, 6])
def test_trials_that_lack_much_are_compared_too(study, number):
    bare = type(study.store.trials()[0])(number=1, outcome=Outcome.WAITING, params={}, reason=HOSTILE)
    shown = assert_fits(comparison_page([study.store.trials()[0], *[bare] * (number - 1)]))
    assert "None" not in shown
