"""The files of a SQLite database in use: somebody may delete them, and SQLite goes on as if nothing were."""

from pathlib import Path

from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError


class DatabaseFiles:
    """Knows them again. The pool has them open, so that none of them can change its inode."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        database = engine.url.database if engine.dialect.name == "sqlite" else None
        file = Path(database or "").absolute()
        self._files = [file, file.with_name(f"{file.name}-wal")] if database else []
        self._inodes: dict[Path, int] = {}
        self._watched = False
        self._said: str | None = None

    def watch(self) -> None:
        """Something was written: from now on, the files must stay what they are."""
        self._watched = True

    def loss(self) -> str | None:
        """What to say if one is no longer what is written to: in the log lie the last transactions."""
        for file in self._files if self._watched and self._said is None else ():
            inode = _inode(file)
            if inode is not None and file not in self._inodes:
                self._inodes[file] = inode
            elif inode != self._inodes.get(file):
                self._said = self._in_words(file)
                break
        return self._said

    def forget(self) -> None:
        """All connections are closed, and the log is gone with the last of them."""
        self._inodes.clear()
        self._watched = False

    def _in_words(self, file: Path) -> str:
        database = self._files[0]
        if file == database:
            return (
                f"{file} was deleted or replaced while the search ran. What was stored in it is gone, unless"
                " there is a copy: put that back, or start anew with the same command."
            )
        what = f"{file} was deleted while the search ran: it held what {database.name} had yet to take over."
        if self._take_over():
            return f"{what} That was done now; the same command goes on."
        return f"{what} What was stored last may be lost; the same command goes on with what is left."

    def _take_over(self) -> bool:
        """Write the log, as the pool has it open, into the database. Returns whether all of it was."""
        try:
            with self._engine.connect() as connection:
                row = connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)").one()
        except DBAPIError:
            return False
        return bool(row[0] == 0 and row[1] == row[2])


def _inode(file: Path) -> int | None:
    try:
        return file.stat().st_ino
    except FileNotFoundError:
        return None
