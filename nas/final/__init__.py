"""The end of a study: its best networks retrained, the winner trained once more to ship, and tested once."""

from nas.final.finishing import finish
from nas.final.settings import FinalSettings

__all__ = ["FinalSettings", "finish"]
