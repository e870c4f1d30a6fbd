"""Names of Hugging Face's hub, against a stand-in that speaks its protocol."""

import hashlib
import json
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

from nas.datasets import open_data, source_name
from nas.datasets.finding import pinned
from nas.datasets.sources.hub import Address
from nas.errors import DataError
from tests.conftest import Nas

from .samples import labels, pixels, write_folder, write_parquet

CLASSES = ("emu", "cat", "dog")

TINY = ("--space=mlp", "--epochs=1", "--workers=1", "--threads=1", "--device=cpu", "--trials=1", "--quiet")


class Hub(ThreadingHTTPServer):
    """Repositories by name, each with its revisions: from a branch or commit to the files."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answers)
        self.revisions: dict[str, dict[str, dict[str, bytes]]] = {}
        self.commits: dict[tuple[str, str], str] = {}
        self.asked: list[str] = []

    def commit(self, repository: str, files: dict[str, bytes], branch: str = "main") -> str:
        content = b"".join(
            name.encode() + hashlib.sha1(data).digest() for name, data in sorted(files.items())
        )
        commit = hashlib.sha1(content).hexdigest()
        of_repository = self.revisions.setdefault(repository, {})
        of_repository[branch] = of_repository[commit] = files
        self.commits[repository, branch] = self.commits[repository, commit] = commit
        return commit


class Answers(BaseHTTPRequestHandler):
    """What the hub answers to `dataset_info` and to a download."""

    server: Hub
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        parts = unquote(self.path.split("?")[0]).strip("/").split("/")
        if parts[:2] == ["api", "datasets"]:
            repository, revision = "/".join(parts[2:4]), "/".join(parts[5:]) or "main"
            self._answer(repository, revision, None)
        elif parts[0] == "datasets" and parts[3] == "resolve":
            self._answer("/".join(parts[1:3]), parts[4], "/".join(parts[5:]))
        else:
            self._refuse(404, "EntryNotFound")

    def _answer(self, repository: str, revision: str, path: str | None) -> None:
        if repository == "user/gated":
            return self._refuse(403, "GatedRepo")
        if repository not in self.server.revisions:
            return self._refuse(401, "RepoNotFound")
        files = self.server.revisions[repository].get(revision)
        if files is None:
            return self._refuse(404, "RevisionNotFound")
        if path is not None and path not in files:
            return self._refuse(404, "EntryNotFound")
        commit = self.server.commits[repository, revision]
        if path is None:
            told = {"id": repository, "sha": commit, "siblings": [{"rfilename": name} for name in files]}
            return self._send(json.dumps(told).encode(), "application/json", {})
        etag = hashlib.sha1(files[path]).hexdigest()
        headers = {"X-Repo-Commit": commit, "ETag": f'"{etag}"', "Accept-Ranges": "bytes"}
        return self._send(files[path], "application/octet-stream", headers)

    def _refuse(self, status: int, code: str) -> None:
        self._send(b"", "text/plain", {"X-Error-Code": code, "X-Error-Message": code}, status)

    def _send(self, content: bytes, kind: str, headers: dict[str, str], status: int = 200) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Type": kind, "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    server = Hub()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_address[1]}")
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def shard(folder: Path, count: int = 24, seed: int = 0) -> bytes:
    path = folder / "shard.parquet"
    write_parquet(path, pixels(count, 4, 4, 3, seed=seed), labels(count), CLASSES)
    return path.read_bytes()


def test_a_name_is_downloaded_and_pinned_and_needs_the_hub_no_more(hub: Hub, tmp_path: Path) -> None:
    train, test = shard(tmp_path), shard(tmp_path, 6, seed=1)
    files = {"data/train-00000-of-00001.parquet": train, "data/test-00000-of-00001.parquet": test}
    commit = hub.commit("user/pets", {**files, "README.md": b"---"})
    data = open_data("hf:user/pets", data_dir=tmp_path / "downloads")
    assert data.classes == CLASSES
    assert data.counts == {"train": 21, "val": 3, "test": 6}
    assert data.info.name == "pets"
    exact = pinned("hf:user/pets")
    assert exact == f"hf:user/pets@{commit}"

    hub.commit("user/pets", {"data/train-00000-of-00001.parquet": shard(tmp_path, 12)})
    assert open_data("hf:user/pets", data_dir=tmp_path / "downloads").counts["train"] < 21
    hub.asked.clear()
    assert open_data(exact, data_dir=tmp_path / "downloads") == data
    assert pinned(exact) == exact
    assert not hub.asked


def test_what_was_uploaded_in_other_formats_is_read_as_the_hub_converts_it(hub: Hub, tmp_path: Path) -> None:
    hub.commit("user/pets", {"cat/1.png": b"", "README.md": b""})
    files = {
        "default/train/0000.parquet": shard(tmp_path),
        "default/test/0000.parquet": shard(tmp_path, 6, 1),
    }
    commit = hub.commit("user/pets", files, "refs/convert/parquet")
    assert pinned("hf:user/pets") == f"hf:user/pets@{commit}"
    assert open_data("hf:user/pets").counts == {"train": 21, "val": 3, "test": 6}


def test_one_of_several_configurations_is_named(hub: Hub, tmp_path: Path) -> None:
    hub.commit(
        "user/pets", {f"{size}/train-00000-of-00001.parquet": shard(tmp_path) for size in ("big", "small")}
    )
    with pytest.raises(DataError, match=r"holds several datasets: big, small. Give one: (.*)\.$") as error:
        open_data("hf:user/pets")
    assert open_data(str(error.value).rpartition(": ")[2][:-1]).info.shape == (3, 4, 4)
    assert open_data("hf:user/pets/small").info.shape == (3, 4, 4)
    with pytest.raises(DataError, match=r"has no configuration 'tiny'. It has: big, small"):
        open_data("hf:user/pets/tiny")


def test_paths_in_a_table_of_the_hub_name_no_files_of_this_machine(hub: Hub, tmp_path: Path) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    write_folder(tmp_path / "mine", pixels(24, 4, 4))
    paths = sorted(str(path) for path in (tmp_path / "mine").rglob("*.png"))
    table = pa.table({"image": paths, "label": [Path(path).parent.name for path in paths]})
    parquet.write_table(table, tmp_path / "paths.parquet")
    hub.commit("user/paths", {"train.parquet": (tmp_path / "paths.parquet").read_bytes()})
    with pytest.raises(DataError, match=r"of 24 images in column 'image', .* none is in"):
        open_data("hf:user/paths")
    assert open_data("hf:user/paths", root=tmp_path / "mine").counts["train"] == 18


@pytest.mark.usefixtures("scripted")
def test_a_study_keeps_the_commit_whatever_the_name_comes_to_mean(hub: Hub, tmp_path: Path, nas: Nas) -> None:
    commit = hub.commit("user/pets", {"train.parquet": shard(tmp_path)})
    assert nas("search", *TINY, "--data=hf:user/pets")[0] == 0
    study = json.loads(nas("show", "mlp-pets", "--json")[1])
    assert study["recipe"]["data"] == f"hf:user/pets@{commit}"
    other = hub.commit("user/pets", {"train.parquet": shard(tmp_path, 12)})
    hub.asked.clear()
    assert nas("search", "--study=mlp-pets", "--trials=1", "--data=hf:user/pets", "--quiet")[0] == 0
    assert not hub.asked
    code, _, err = nas("search", "--study=mlp-pets", "--trials=1", f"--data=hf:user/pets@{other}", "--quiet")
    assert (code, err.count("\n")) == (2, 1)
    assert "was made with data" in err


@pytest.mark.usefixtures("scripted")
def test_a_study_of_a_tag_goes_on_with_the_same_command_while_the_tag_means_the_same(
    hub: Hub, tmp_path: Path, nas: Nas
) -> None:
    hub.commit("user/pets", {"big/train.parquet": shard(tmp_path)}, "v1.0")
    search = ("search", *TINY, "--data=hf:user/pets/big@v1.0")
    assert nas(*search)[0] == 0
    assert nas(*search)[0] == 0
    hub.commit("user/pets", {"big/train.parquet": shard(tmp_path, 12)}, "v1.0")
    code, _, err = nas(*search)
    assert (code, err.count("\n")) == (2, 1)
    assert "was made with data" in err


@pytest.mark.parametrize(
    ("package", "source"), [("huggingface_hub", "hf:user/pets"), ("pyarrow", "a.parquet")]
)
def test_a_missing_extra_is_named_with_its_installation(
    package: str, source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.parquet").write_bytes(shard(tmp_path))
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(DataError, match=rf"needs? {package}: pip install 'optuna-nas\[huggingface\]'"):
        open_data(source)


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (
            "hf:user/nothing",
            "hf:user/nothing cannot be had: the hub has no such dataset, or not for everybody",
        ),
        ("hf:user/gated", "asked for it: log in with hf auth login"),
        ("hf:user/pets@v2", "hf:user/pets@v2 cannot be had: the dataset has no such revision"),
        ("hf:user/pets@main", "has no parquet files"),
        ("hf:", "hf: cannot be had"),
        ("hf:a b/..", "cannot be had"),
    ],
)
def test_what_the_hub_does_not_give_is_told_in_a_line(source: str, said: str, hub: Hub) -> None:
    hub.commit("user/pets", {"README.md": b""})
    with pytest.raises(DataError, match=said) as error:
        open_data(source)
    assert "\n" not in str(error.value)


def test_a_broken_file_of_the_hub_leaves_nothing_in_the_cache(hub: Hub, tmp_path: Path, cache: Path) -> None:
    hub.commit("user/pets", {"train.parquet": shard(tmp_path)[:-100]})
    with pytest.raises(DataError, match="is no readable parquet file"):
        open_data("hf:user/pets")
    assert not list(cache.glob("datasets/*"))


@pytest.mark.parametrize(
    ("source", "address", "name"),
    [
        ("hf:mnist", Address("mnist"), "mnist"),
        ("hf:user/set", Address("user/set"), "set"),
        ("hf:user/set@v1.0", Address("user/set", "", "v1.0"), "set"),
        ("hf:user/set/big@refs/convert/parquet", Address("user/set", "big", "refs/convert/parquet"), "set"),
    ],
)
def test_an_address_has_parts_and_a_short_name(source: str, address: Address, name: str) -> None:
    assert Address.of(source) == address
    assert str(address) == source
    assert source_name(source) == name
