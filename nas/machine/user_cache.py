"""Where the user's own cache lies, which nobody else writes."""

import os
from pathlib import Path

from platformdirs import user_cache_path

from nas.machine.files import expanded


def cache_root() -> Path:
    """The user's cache folder of this package, or the one that the environment variable NAS_CACHE names."""
    named = os.environ.get("NAS_CACHE")
    return expanded(named).absolute() if named else user_cache_path("optuna-nas")
