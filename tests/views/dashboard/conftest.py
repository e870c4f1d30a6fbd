"""The dashboard of a sample study, as a WSGI client and on a port."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("optuna_dashboard", reason="needs pip install 'optuna-nas[dashboard]'")

import waitress
from werkzeug.test import Client

from nas.study.database import open_database, storage_url
from nas.study.outcome import Outcome
from nas.views.dashboard.site import make_site
from tests.browser import browser
from tests.views.dashboard.samples import Sample

__all__ = ["browser"]


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Sample:
    """A study with a trial of each kind, to be looked at: trial 1 is the best, trial 3 runs."""
    return filled(tmp_path_factory.mktemp("sample"))


@pytest.fixture
def own_sample(tmp_path: Path) -> Sample:
    """The same, to be changed by one test."""
    return filled(tmp_path)


def filled(folder: Path) -> Sample:
    sample = Sample(folder)
    sample.complete(0.3, 0.5, 0.6, 0.7)
    sample.complete(0.4, 0.6, 0.8, 0.9)
    sample.prune(0.2, 0.5)
    sample.start(accuracies=(0.3, 0.6))
    sample.end(sample.start(), Outcome.FAILED, reason="RuntimeError: out of luck")
    return sample


def site_of(sample: Sample, **options: Any) -> Any:
    """The dashboard of a study, which reads the database through a connection of its own."""
    storage = open_database(storage_url(None, sample.folder), create=False)
    return make_site(storage, sample.name, sample.folder, **options)


@pytest.fixture(scope="module")
def client(sample: Sample) -> Client:
    """A visitor of the sample's dashboard."""
    return Client(site_of(sample))


@pytest.fixture(scope="module")
def serve() -> Iterator[Callable[[Any], str]]:
    """Puts a WSGI application on a port; its address."""
    servers = []

    def start(site: Any) -> str:
        server = waitress.create_server(site, host="127.0.0.1", port=0, threads=8)
        servers.append(server)
        threading.Thread(target=server.run, daemon=True).start()
        return f"http://127.0.0.1:{server.effective_port}"

    yield start
    for server in servers:
        server.close()
        server.trigger.close()
