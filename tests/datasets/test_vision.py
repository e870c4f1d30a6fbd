"""Torchvision's datasets: found by name, read without a network, downloaded only where files are missing."""

import gzip
import inspect
import socket
import sys
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from nas.datasets import known_datasets, open_data
from nas.datasets.sources.vision import SETS
from nas.errors import DataError

from . import samples


def test_an_absent_torchvision_is_named_with_its_cure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torchvision", None)
    with pytest.raises(DataError, match=r"'mnist' is read through torchvision.*pip install torchvision"):
        open_data("mnist")


@pytest.mark.parametrize(
    "name", [name for name in known_datasets() if "mnist" in name or name in ("svhn", "usps")]
)
def test_digits_and_characters_are_never_mirrored(name: str) -> None:
    mirrored = {"flip", "alternating_flip"} & set(SETS[name].augmentations)
    assert len(mirrored) == (2 if name == "fashion_mnist" else 0)
    assert {"shift", "rotation", "cutout"} <= set(SETS[name].augmentations)


@pytest.mark.parametrize("name", sorted(SETS))
def test_torchvision_takes_the_arguments_of_the_table(name: str) -> None:
    datasets = pytest.importorskip("torchvision.datasets", reason="torchvision is not installed")
    entry = SETS[name]
    factory = getattr(datasets, entry.factory)
    assert entry.offers_download == ("FER2013" != entry.factory != "StanfordCars")
    for arguments in entry.splits.values():
        inspect.signature(factory).bind(root="", **entry.arguments, **arguments)


def test_files_that_are_there_are_read_without_a_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("torchvision", reason="torchvision is not installed")
    samples.mnist(tmp_path, monkeypatch)

    def refuse(*_: Any) -> None:
        raise AssertionError("the network was touched")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    assert open_data("mnist", data_dir=tmp_path).counts["test"] == samples.TEST


@pytest.fixture
def mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """MNIST's files on a web server of our own; the paths asked for."""
    datasets = pytest.importorskip("torchvision.datasets", reason="torchvision is not installed")
    samples.mnist(tmp_path / "web", monkeypatch)
    asked: list[str] = []

    class Handler(SimpleHTTPRequestHandler):
        def log_request(self, *_: Any) -> None:
            asked.append(self.path)

    files = tmp_path / "web/MNIST/raw"
    for file in list(files.iterdir()):
        (files / f"{file.name}.gz").write_bytes(gzip.compress(file.read_bytes()))
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(files))) as server:
        Thread(target=server.serve_forever).start()
        monkeypatch.setenv("no_proxy", "*")
        monkeypatch.setattr(datasets.MNIST, "mirrors", [f"http://127.0.0.1:{server.server_port}/"])
        monkeypatch.setattr(
            datasets.MNIST, "resources", [(name, None) for name, _ in datasets.MNIST.resources]
        )
        yield asked
        server.shutdown()


def test_missing_files_are_downloaded_and_decoded_once(mirror: list[str], tmp_path: Path) -> None:
    data = open_data("mnist", data_dir=tmp_path / "downloads")
    assert data.counts["test"] == samples.TEST
    assert {path.rpartition("/")[2] for path in mirror} == {
        f"{part}-{kind}-ubyte.gz" for part in ("train", "t10k") for kind in ("images-idx3", "labels-idx1")
    }
    mirror.clear()
    calls: list[int] = []
    again = open_data("mnist", data_dir=tmp_path / "downloads", progress=lambda done, _: calls.append(done))
    assert again == data
    assert not calls
    assert not mirror


def test_a_failing_download_says_where_the_files_belong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    datasets = pytest.importorskip("torchvision.datasets", reason="torchvision is not installed")
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr(datasets.MNIST, "mirrors", ["http://127.0.0.1:9/"])
    with pytest.raises(DataError) as caught:
        open_data("mnist", data_dir=tmp_path)
    message = str(caught.value)
    assert "could not download it" in message
    assert "http://127.0.0.1:9/" in message
    assert f"{tmp_path}/MNIST/raw" in message
    assert "--data-dir" in message
    assert "\n" not in message


def test_downloads_go_into_the_cache_folder_by_default(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    datasets = pytest.importorskip("torchvision.datasets", reason="torchvision is not installed")
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr(datasets.MNIST, "mirrors", ["http://127.0.0.1:9/"])
    with pytest.raises(DataError, match=f"{cache}/downloads/MNIST/raw"):
        open_data("mnist")


def test_a_set_without_a_download_says_so(tmp_path: Path) -> None:
    pytest.importorskip("torchvision", reason="torchvision is not installed")
    with pytest.raises(DataError, match=f"torchvision does not download it.*{tmp_path}/fer2013"):
        open_data("fer2013", data_dir=tmp_path)
