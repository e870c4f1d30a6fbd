"""The Python facade: what the command line does, in a few lines of Python."""

from nas.api.study import Study, load_study, search
from nas.api.trial import Final, Trial

__all__ = ["Final", "Study", "Trial", "load_study", "search"]
