"""What images show, for people, for spreadsheets and for programs."""

from __future__ import annotations

import codecs
import csv
import json
import sys
from collections.abc import Iterable
from itertools import islice
from typing import TYPE_CHECKING

from nas.machine.texts import cell, clean

if TYPE_CHECKING:
    from nas.exporters.use.classify import Prediction

BYTES = "nas.bytes"
"""The name of `_as_bytes` among Python's ways with letters that an encoding lacks."""


def print_text(predictions: Iterable[Prediction], top: int) -> bool:
    """Each image with its likeliest classes below; whether all could be read."""
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
    """A row for each image and class; whether all could be read.

    Texts that a spreadsheet would compute begin with a quote. A file or a pipe gets names as they are, to the
    byte; where its encoding lacks a letter, and on a terminal where it is not printable, its escape.
    """
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors=BYTES, newline="")
    fine, on_terminal = True, sys.stdout.isatty()

    def told(text: object) -> str:
        return cell(clean(str(text)) if on_terminal else str(text))

    writer = csv.writer(sys.stdout)
    writer.writerow(("file", "rank", "class", "probability", "notes"))
    for each in predictions:
        fine &= _told(each)
        for rank, (name, probability) in enumerate(islice(each.probabilities.items(), top), start=1):
            row = (told(each.file), rank, told(name), f"{probability:.6f}", told("; ".join(each.notes)))
            writer.writerow(row)
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


def _as_bytes(error: UnicodeError) -> tuple[str | bytes, int]:
    """For one letter: the byte that it stands for in a name that is no text, else its escape."""
    assert isinstance(error, UnicodeEncodeError)
    letter, end = error.object[error.start], error.start + 1
    if "\udc80" <= letter <= "\udcff":
        return letter.encode("utf-8", "surrogateescape"), end
    return letter.encode("ascii", "backslashreplace").decode(), end


codecs.register_error(BYTES, _as_bytes)


def _told(prediction: Prediction) -> bool:
    """Say on standard error what cannot be read; whether it can."""
    if prediction.error is None:
        return True
    print(clean(f"nas: {prediction.file} cannot be read: {prediction.error}"), file=sys.stderr)
    return False
