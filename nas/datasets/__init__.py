"""From the name or path of a dataset to decoded images in memory-mapped files: train, val and test."""

from nas.datasets.cache import clear_cache
from nas.datasets.finding import known_datasets, source_name
from nas.datasets.image_data import ImageData, Split
from nas.datasets.load import open_data

__all__ = ["ImageData", "Split", "clear_cache", "known_datasets", "open_data", "source_name"]
