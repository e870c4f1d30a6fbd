"""What a trial costs beside its accuracy: every objective of `nas.objectives` but the metric."""

from nas.machine.plugins import OBJECTIVES
from nas.objectives.base import costs
from nas.study.records import TrialRecord
from nas.views import format


def costs_in_words(record: TrialRecord) -> dict[str, str]:
    """By their titles, those that are not known too."""
    told = {}
    for name, objective in costs().items():
        with OBJECTIVES.at_work(name):
            told[objective.TITLE] = format.amount(objective.of(record), objective.UNIT)
    return told
