"""How long a report of a large study takes, and how large it is.

    python tests/benchmarks/report_time.py

A study of 2,000 trials that were pruned or trained for 12 epochs; nothing is trained. Making the study
takes longer than the report.

Measured on 2 shared cores of an AMD EPYC at 2.6 GHz: 5.0 s CPU, 5.1 MB (8.3 s CPU with 100 epochs a trial).
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

from nas.api.study import load_study
from nas.views.report.writing import write_report
from tests.views.report.samples import sample_study


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=2000)
    parser.add_argument("--epochs", type=int, default=12)
    settings = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        sample_study(Path(folder), settings.trials, settings.epochs)
        study = load_study(folder=folder)
        wall, cpu = time.perf_counter(), time.process_time()
        file = write_report(study, Path(folder) / "report.html")
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        size = file.stat().st_size / 10**6
        asked = f"{settings.trials:,} trials of {settings.epochs} epochs"
        print(f"{asked}: {wall:.1f} s, {cpu:.1f} s CPU, {size:.1f} MB")


if __name__ == "__main__":
    main()
