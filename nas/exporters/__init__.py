"""A trained network as files that need nothing of us: one format per file, each found by being here.

A format is a module with one function, `export`, as `nas.exporters.parts.formats.Exporter` describes it.
"""

from nas.exporters.parts.exporting import Export, export_trial
from nas.exporters.parts.formats import known_exporters
from nas.exporters.parts.trained import TrainedModel

__all__ = ["Export", "TrainedModel", "export_trial", "known_exporters"]
