"""A study as plotly figures, the same ones that the report and the dashboard show.

    from nas.views import figures

    figures.learning_curves(study).show()

Each function takes a study, or the records of its trials where these suffice, and gives a figure even when
there is nothing to show yet. What a figure says in one sentence lies in `layout.meta["summary"]`.
"""

from nas.errors import NasError

try:
    import plotly  # noqa: F401
except ModuleNotFoundError as error:
    raise NasError("Figures need plotly: pip install 'optuna-nas[report]'.") from error

from nas.views.figures.accuracy import accuracy_against_parameters
from nas.views.figures.curves import history, history_by_time, learning_curves
from nas.views.figures.importance import importances
from nas.views.figures.parallel import parallel_coordinates
from nas.views.figures.results import outcomes
from nas.views.figures.time_and_memory import memory, seconds, timeline

__all__ = [
    "accuracy_against_parameters",
    "history",
    "history_by_time",
    "importances",
    "learning_curves",
    "memory",
    "outcomes",
    "parallel_coordinates",
    "seconds",
    "timeline",
]
