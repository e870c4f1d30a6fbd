"""What must survive a power cut. A disk that fills up is in `tests/study/test_full_disk.py`."""

import os
from pathlib import Path

import pytest

from nas.machine.files import written_whole


def inode(path: Path | int) -> int:
    return os.stat(path).st_ino


@pytest.mark.skipif(os.name != "posix", reason="folders cannot be synchronised")
def test_content_reaches_the_disk_before_its_name_does_and_its_name_before_anybody_goes_on(
    tmp_path, monkeypatch
):
    file = tmp_path / "folder" / "file"
    synchronised: list[tuple[int, bool]] = []
    really = os.fsync

    def fsync(descriptor: int) -> None:
        really(descriptor)
        synchronised.append((inode(descriptor), file.exists()))

    monkeypatch.setattr(os, "fsync", fsync)
    with written_whole(file) as stream:
        stream.write(b"content")
    assert synchronised == [(inode(file), False), (inode(file.parent), True)]
    assert file.read_bytes() == b"content"


def half_written(file: Path, error: type[BaseException]) -> None:
    with written_whole(file) as stream:
        stream.write(b"half")
        raise error


@pytest.mark.parametrize("error", [OSError, KeyboardInterrupt])
def test_what_was_there_stays_when_the_next_content_is_not_written_to_its_end(tmp_path, error):
    file = tmp_path / "file"
    file.write_bytes(b"before")
    with pytest.raises(error):
        half_written(file, error)
    assert file.read_bytes() == b"before"
    assert list(tmp_path.iterdir()) == [file]
