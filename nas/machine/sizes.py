"""Amounts of memory as people write them."""

import re

from nas.errors import InvalidSetting

UNITS = {"": 1, "b": 1, "kib": 2**10, "mib": 2**20, "gib": 2**30, "kb": 10**3, "mb": 10**6, "gb": 10**9}


def parse_size(text: str) -> int:
    """Bytes of "4GiB", "512 MiB", "2GB" or a bare number.

    Raises:
        InvalidSetting: it is no amount of memory.
    """
    match = re.fullmatch(r"\s*(\d{1,18}(?:\.\d{1,18})?)\s*([a-zA-Z]*)\s*", text)
    if match is None or match[2].lower() not in UNITS:
        raise InvalidSetting(f"{text!r} is no amount of memory. Write 4GiB, 512MiB or a number of bytes.")
    return int(float(match[1]) * UNITS[match[2].lower()])


def exact_size(size: int) -> str:
    """The shortest text that `parse_size` reads back as so many bytes."""
    unit, count = next(
        (unit, size // factor)
        for unit, factor in (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10), ("", 1))
        if size % factor == 0
    )
    return f"{count}{unit}"


def in_mib(size: int) -> str:
    """For people, rounded up: so much is enough."""
    return f"{-(-size // 2**20):,} MiB"


def whole_mib(size: int) -> str:
    """As `parse_size` reads it, rounded up: so much is enough."""
    return exact_size(-(-size // 2**20) * 2**20)


def memory_amount(value: object) -> object:
    """A setting such as "4GiB", "80%" or "auto", in the one form that equals itself however it was written.

    Raises:
        ValueError: it is nothing of the kind.
    """
    text = str(value).strip()
    if text == "auto":
        return text
    if share := re.fullmatch(r"(\d{1,3}(?:\.\d+)?)\s*%", text):
        if not 0 < float(share[1]) <= 100:
            raise ValueError("a share above 0% and not above 100%")
        return f"{float(share[1]):g}%"
    try:
        size = parse_size(text)
    except InvalidSetting:
        size = 0
    if size < 1:
        raise ValueError("an amount of memory such as 4GiB, 80% or auto")
    return exact_size(size)


def resolve_amount(amount: str, free: int, auto: str) -> int:
    """Bytes that `memory_amount`'s text means where `free` bytes are free; "auto" means `auto`."""
    amount = auto if amount == "auto" else amount
    if amount.endswith("%"):
        return int(free * float(amount[:-1]) / 100)
    return parse_size(amount)
