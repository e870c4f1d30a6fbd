"""One self-contained HTML page that tells a search: the question, the answer, how it was found, what it cost.

`writing.write_report` is the door.
"""

from nas.errors import NasError

try:
    import jinja2  # noqa: F401
    import plotly  # noqa: F401
except ModuleNotFoundError as error:
    raise NasError(f"A report needs {error.name}: pip install 'optuna-nas[report]'.") from error
