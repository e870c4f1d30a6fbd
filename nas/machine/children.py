"""Processes that we start: what they get to know of ours."""

import os
from pathlib import Path

PASSWORDS = frozenset({"NAS_STORAGE", "PGPASSWORD"})
"""Variables that may hold the database's password, which is no business of the code that children run."""

ROOT = str(Path(__file__).parents[2])
"""Where they find our packages, installed or not."""


def environment() -> dict[str, str]:
    """Ours without passwords, and with our packages in reach."""
    paths = [ROOT, *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    ours = {name: value for name, value in os.environ.items() if name not in PASSWORDS}
    return {**ours, "PYTHONPATH": os.pathsep.join(dict.fromkeys(paths))}
