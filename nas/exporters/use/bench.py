"""How fast exported files run on this machine."""

from __future__ import annotations

from collections.abc import Sequence

from nas.exporters.use.exported import Exported
from nas.exporters.verify.checking import Request, check


def latencies(exported: Exported, name: str, batch_sizes: Sequence[int], threads: int) -> dict[int, float]:
    """Median seconds of one run of a format, by batch size, measured in a fresh process on random images.

    Raises:
        NasError: its runtime is missing, or the files do not run.
    """
    request = Request(
        format=name,
        folder=str(exported.folder),
        shape=exported.input_shape,
        mean=exported.mean,
        std=exported.std,
        threads=threads,
        timed=tuple(batch_sizes),
    )
    return check(request).latency
