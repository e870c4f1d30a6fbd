"""Which parameters matter."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import plotly.graph_objects as go
from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances
from optuna.trial import TrialState

import nas.views.figures.theme as theme
from nas.study.outcome import Outcome
from nas.views.figures.theme import COLOURS

if TYPE_CHECKING:
    from nas.views.shown import Study

ENOUGH = 10
"""Completed trials that importances need to mean anything."""

BARS = 12
"""The most important parameters that are drawn."""


def importances(study: Study) -> go.Figure:
    """How much each parameter has to do with being among the best trials (PED-ANOVA, as Optuna computes it).

    Watanabe, Bansal and Hutter, PED-ANOVA: Efficiently Quantifying Hyperparameter Importance in Arbitrary
    Subspaces, IJCAI 2023.
    """
    found = importances_of(study)
    figure = theme.new_figure("Importances", "importance", height=120 + 26 * min(BARS, max(1, len(found))))
    if not found:
        return theme.nothing_yet(figure, f"Importances need {ENOUGH} completed trials.")
    names = list(found)[:BARS]
    theme.add_bars(
        figure,
        [theme.rounded(found[name]) for name in names],
        [theme.short(name) for name in names],
        text=[f"{found[name]:.2f}" for name in names],
        marker={"color": COLOURS[Outcome.COMPLETED]},
        hovertemplate="%{y}: %{x}<extra></extra>",
    )
    return theme.summarised(figure, f"The most important parameters: {', '.join(names[:3])}.")


def importances_of(study: Study) -> dict[str, float]:
    """Importance by parameter, 1 together, the greatest first; empty while trials are too few."""
    found = study.store.optuna_study
    completed = found.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    if len(completed) < ENOUGH:
        return {}
    with warnings.catch_warnings():  # of an experimental class
        warnings.simplefilter("ignore")
        return get_param_importances(found, evaluator=PedAnovaImportanceEvaluator())
