"""A browser, a study, its report, and the command line."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from nas import cli
from nas.api import Study
from nas.report.writing import write_report
from tests.browser import browser
from tests.report.samples import sample_study

__all__ = ["browser"]

Nas = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="session")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    """A study of 60 trials that ended in every way."""
    return sample_study(tmp_path_factory.mktemp("studies"), 60)


@pytest.fixture(scope="session")
def report(study: Study, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its report."""
    return write_report(study, tmp_path_factory.mktemp("report") / "report.html")


@pytest.fixture
def nas(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Nas:
    """Run a command in this process: (exit code, standard output, standard error)."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["nas", *map(str, arguments)])
        with pytest.raises(SystemExit) as exit:
            cli.main()
        out, err = capsys.readouterr()
        return int(exit.value.code or 0), out, err

    return run
