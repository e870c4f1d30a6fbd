"""A browser, a study, its report, and the command line."""

from pathlib import Path

import pytest

from nas.api.study import Study
from nas.views.report.writing import write_report
from tests.browser import browser
from tests.views.report.samples import sample_study

__all__ = ["browser"]


@pytest.fixture(scope="session")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    """A study of 60 trials that ended in every way."""
    return sample_study(tmp_path_factory.mktemp("studies"), 60)


@pytest.fixture(scope="session")
def report(study: Study, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its report."""
    return write_report(study, tmp_path_factory.mktemp("report") / "report.html")
