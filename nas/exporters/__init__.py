"""A trained network as files that need nothing of us: one format per file, each found by being here.

What a format is, `nas.exporters.registry.Exporter` describes. Other distributions add theirs by an entry
point in the group `nas.exporters`.
"""

from nas.exporters.export import MAX_DROP, Export, export_model
from nas.exporters.registry import known_exporters
from nas.exporters.trained import Origin, Score, TrainedModel

__all__ = ["MAX_DROP", "Export", "Origin", "Score", "TrainedModel", "export_model", "known_exporters"]
