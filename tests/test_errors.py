"""What exceptions of anybody's say, in one short line."""

from pathlib import Path

import pytest

from nas.engines.limits import is_out_of_memory
from nas.errors import LONGEST, BrokenFile, in_one_line


class Says(RuntimeError):
    """An error whose text is whatever `say` returns."""

    def __init__(self, say: object) -> None:
        super().__init__()
        self.say = say

    def __str__(self) -> str:
        return self.say()  # type: ignore[operator,no-any-return]

    __repr__ = __str__


def raising() -> str:
    raise KeyError("text")


def endless() -> str:
    return endless()


@pytest.mark.parametrize(
    ("say", "line"),
    [
        (lambda: "plain", "Says: plain"),
        (lambda: "first\r\nsecond", "Says: first"),
        (lambda: "\n\nlate\x0bword", "Says: late"),
        (lambda: "", "Says: "),
        (lambda: "x" * 10**7, "Says: " + "x" * LONGEST),
        (lambda: None, "Says: its text cannot be made: TypeError"),
        (raising, "Says: its text cannot be made: KeyError"),
        (endless, "Says: its text cannot be made: RecursionError"),
    ],
)
def test_any_exception_is_one_short_line(say: object, line: str) -> None:
    error = Says(say)
    assert in_one_line(error) == line
    assert not is_out_of_memory(error)
    broken = str(BrokenFile.from_exception(Path("space.py"), error))
    assert len(broken) < LONGEST + 100
