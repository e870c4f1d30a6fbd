"""Amounts of memory as people write them."""

import re

from nas.errors import InvalidSetting

UNITS = {"": 1, "b": 1, "kib": 2**10, "mib": 2**20, "gib": 2**30, "kb": 10**3, "mb": 10**6, "gb": 10**9}


def parse_size(text: str) -> int:
    """Bytes of "4GiB", "512 MiB", "2GB" or a bare number.

    Raises:
        InvalidSetting: it is no amount of memory.
    """
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([a-zA-Z]*)\s*", text)
    if match is None or match[2].lower() not in UNITS:
        raise InvalidSetting(f"{text!r} is no amount of memory. Write 4GiB, 512MiB or a number of bytes.")
    return int(float(match[1]) * UNITS[match[2].lower()])
