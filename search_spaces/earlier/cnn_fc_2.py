"""Version 2 of `search_spaces.cnn_fc`, which had no Muon: version 3 makes the same of what it proposed."""

from search_spaces.cnn_fc import suggest

__all__ = ["VERSION", "suggest"]

VERSION = 2
