"""Decoded images appear whole or not at all, whatever happens to the processes that make them."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from nas.datasets import ImageData, open_data
from nas.datasets.cache import clear_cache
from nas.errors import StorageError

from .samples import pixels, write_folder

ROOT = Path(__file__).parents[2]

OPEN = """
import os, sys
from nas.datasets import open_data
from nas.errors import NasError

def progress(done, total):
    {progress}

print("opening", flush=True)
try:
    print(open_data(sys.argv[1], progress=progress).fingerprint)
except NasError as error:
    print(f"{{type(error).__name__}}: {{error}}")
"""


@pytest.fixture
def pets(tmp_path: Path) -> Path:
    write_folder(tmp_path / "pets", pixels(120, 16, 16, 3))
    return tmp_path / "pets"


def opening(source: Path, progress: str = "print('decoding', flush=True)") -> subprocess.Popen[str]:
    """A process that opens `source`, and runs `progress` for every 64 images and at the end."""
    return subprocess.Popen(
        [sys.executable, "-c", OPEN.format(progress=progress), str(source)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def paused(source: Path) -> subprocess.Popen[str]:
    """A process that has begun to decode `source`, and reads a line after each `progress` to go on."""
    process = opening(source, "print('decoding', flush=True); sys.stdin.readline()")
    assert process.stdout is not None
    assert [process.stdout.readline() for _ in range(2)] == ["opening\n", "decoding\n"]
    return process


def folders(cache: Path) -> list[str]:
    """Without the hidden lock files."""
    return sorted(path.name for path in (cache / "datasets").iterdir() if path.is_dir())


def test_of_two_processes_at_once_one_decodes_and_both_read(pets: Path, cache: Path) -> None:
    first = paused(pets)
    second = opening(pets)
    assert second.stdout is not None
    assert second.stdout.readline() == "opening\n"
    time.sleep(0.3)  # time enough to do the wrong thing
    *_, of_first = first.communicate("\n\n")[0].splitlines()
    of_second = second.communicate()[0].splitlines()
    assert of_second == [of_first]
    assert folders(cache) == [open_data(str(pets)).folder.name]


def test_a_killed_writer_leaves_nothing_that_is_read(pets: Path, cache: Path) -> None:
    killed = paused(pets)
    killed.kill()
    killed.communicate()
    (left,) = folders(cache)
    assert left.endswith(".tmp")
    data = open_data(str(pets))
    assert sum(data.counts.values()) == 120
    assert folders(cache) == [data.folder.name]


def test_the_next_writer_of_anything_removes_what_a_killed_one_left(pets: Path, cache: Path) -> None:
    killed = paused(pets)
    killed.kill()
    killed.communicate()
    digits = open_data("digits")
    assert folders(cache) == [digits.folder.name]


def test_what_a_living_process_writes_is_left_alone(pets: Path, cache: Path) -> None:
    writer = paused(pets)
    open_data("digits")
    clear_cache()
    *_, fingerprint = writer.communicate("\n\n")[0].splitlines()
    assert open_data(str(pets)).fingerprint == fingerprint


def test_a_failure_leaves_nothing(pets: Path, cache: Path) -> None:
    def fail(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        open_data(str(pets), progress=fail)
    assert folders(cache) == []


def test_a_full_disk_is_one_clear_error(pets: Path, cache: Path) -> None:
    pytest.importorskip("resource", reason="this system has no limits on file sizes")
    limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (4096, resource.RLIM_INFINITY))"
    output = opening(pets, limit).communicate()[0].splitlines()
    assert output[1].startswith(
        f"StorageError: Cannot keep decoded images in {cache}/datasets: File too large."
    )
    assert "NAS_CACHE" in output[1]
    assert folders(cache) == []


def test_an_unwritable_cache_is_one_clear_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("NAS_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(StorageError, match=r"Cannot keep decoded images in .*NAS_CACHE"):
        open_data("digits")


def test_clearing_the_cache_tells_the_bytes_it_freed(pets: Path, cache: Path) -> None:
    opened = [open_data(str(pets)), open_data("digits")]
    (cache / "downloads").mkdir()
    size = sum(file.stat().st_size for data in opened for file in data.folder.iterdir())
    assert clear_cache() == size
    assert clear_cache() == 0
    assert folders(cache) == []
    assert (cache / "downloads").is_dir()
    with pytest.raises(StorageError, match="is gone or damaged"):
        ImageData.open(opened[0].folder)
    assert open_data(str(pets)) == opened[0]


@pytest.mark.parametrize(
    "name", ["x" * 240, "猫" * 80, "\udcff" * 240], ids=["ascii", "three bytes", "no UTF-8"]
)
def test_a_name_of_240_bytes_has_a_folder(tmp_path: Path, cache: Path, name: str) -> None:
    write_folder(tmp_path / name, pixels(24, 4, 4))
    write_folder(tmp_path / f"{name}y", pixels(24, 4, 4))
    first, second = (open_data(str(tmp_path / each)) for each in (name, f"{name}y"))
    assert first.info.name == name
    assert first.folder != second.folder
