"""TOML as people and editors write it, read and written."""

from __future__ import annotations

import json
import re
import tomllib
from codecs import BOM_UTF16_BE, BOM_UTF16_LE
from io import StringIO
from pathlib import Path
from typing import Any

from nas.errors import InvalidSetting


def read_toml(file: Path, what: str) -> dict[str, Any]:
    """The tables of a file, which a message calls `what`.

    Raises:
        InvalidSetting: it cannot be read, or is no TOML.
    """
    try:
        content = file.read_bytes()
    except OSError as error:
        raise InvalidSetting(f"The {what} {file} cannot be read: {error.strerror}.") from error
    try:
        return tomllib.loads(StringIO(_decoded(content), newline=None).read())
    except UnicodeDecodeError as error:
        raise InvalidSetting(f"The {what} {file} is no text in UTF-8. Save it as UTF-8.") from error
    except ValueError as error:  # of a number with thousands of digits, too
        raise InvalidSetting(f"The {what} {file} is not valid TOML: {error}.") from error
    except RecursionError:
        raise InvalidSetting(f"The {what} {file} is not valid TOML: it is nested too deeply.") from None


def _decoded(content: bytes) -> str:
    """UTF-8 as TOML wants it, or what editors and shells of Windows write: with a mark, or UTF-16."""
    if content.startswith((BOM_UTF16_LE, BOM_UTF16_BE)):
        return content.decode("utf-16")
    if content[1:2] == b"\0":  # Latin letters of two bytes
        return content.decode("utf-16-le")
    return content.decode("utf-8-sig")


def plain(text: str) -> bool | int | float | str:
    """What a text stands for: true, 3, 0.5, or itself."""
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except (ValueError, RecursionError):
        return text
    return value if isinstance(value, bool | int | float | str) else text


def toml_of(value: object) -> str:
    """A value as TOML, in one line: numbers, texts, tuples and mappings of such."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, tuple):
        return f"[{', '.join(toml_of(each) for each in value)}]"
    if isinstance(value, dict):
        pairs = ", ".join(f"{_key(name)} = {toml_of(each)}" for name, each in value.items())
        return f"{{ {pairs} }}" if pairs else "{}"
    return _quoted(str(value))


def _key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else _quoted(name)


def _quoted(text: str) -> str:
    text = json.dumps(text, ensure_ascii=False)
    return "".join(letter if letter.isprintable() else escaped(letter) for letter in text)


def escaped(letter: str) -> str:
    """As TOML writes it within quotes, where it is no ASCII that can be seen."""
    number = ord(letter)
    if letter == "\n" or " " <= letter <= "~":
        return letter
    return f"\\u{number:04x}" if number < 2**16 else f"\\U{number:08x}"
