"""What images show, for people, for spreadsheets and for programs."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Iterable
from itertools import islice
from typing import TYPE_CHECKING

from nas.terminal.format import clean

if TYPE_CHECKING:
    from nas.exporters.parts.classifying import Prediction


def print_text(predictions: Iterable[Prediction], top: int) -> bool:
    """Each image with its likeliest classes below; whether all could be read."""
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="backslashreplace")
    fine = True
    for each in predictions:
        fine &= _told(each)
        if each.error is None:
            notes = f"  ({'; '.join(each.notes)})" if each.notes else ""
            print(clean(f"{each.file}{notes}"))
            for name, probability in islice(each.probabilities.items(), top):
                print(f"  {100 * probability:5.1f} %  {clean(name)}")
    return fine


def print_csv(predictions: Iterable[Prediction], top: int) -> bool:
    """A row for each image and class; whether all could be read."""
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="surrogateescape", newline="")
    fine = True
    writer = csv.writer(sys.stdout)
    writer.writerow(("file", "rank", "class", "probability", "notes"))
    for each in predictions:
        fine &= _told(each)
        for rank, (name, probability) in enumerate(islice(each.probabilities.items(), top), start=1):
            writer.writerow((each.file, rank, name, f"{probability:.6f}", "; ".join(each.notes)))
    return fine


def print_json(predictions: Iterable[Prediction], top: int) -> bool:
    """A list with an object for each image; whether all could be read."""
    content = []
    fine = True
    for each in predictions:
        fine &= _told(each)
        best = islice(each.probabilities.items(), top)
        content.append(
            {
                "file": str(each.file),
                "predictions": [{"class": name, "probability": value} for name, value in best],
                "notes": each.notes,
                "error": each.error,
            }
        )
    print(json.dumps(content, indent=2))
    return fine


def _told(prediction: Prediction) -> bool:
    """Say on standard error what cannot be read; whether it can."""
    if prediction.error is None:
        return True
    print(clean(f"nas: {prediction.file} cannot be read: {prediction.error}"), file=sys.stderr)
    return False
