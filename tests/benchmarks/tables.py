"""What it costs to open a table of many images, and to decode the same JPEG files from a folder, a CSV and
parquet, in CPU seconds, in one run.

    python -m tests.benchmarks.tables --images path/to/folder_of_jpegs

Opening is all that comes before the first image is decoded: reading and understanding the table, finding each
file, the key of the cache, and drawing the splits. The images given are linked again and again up to --count;
without any, smooth ones are made.

Measured on 2 shared cores of an AMD EPYC at 2.6 GHz, a load of 10 beside it, CIFAR-10 as JPEG, CPU seconds
(median of 3; the machine's noise is about a third):

    opening 60,000   folder 2.0, CSV without suffixes 1.2-1.5 (best 1.0), JSON lines 0.9-1.1, parquet 0.4
    decoding 4,000   folder 1.9, CSV 1.8, JSON lines 1.9, parquet 1.5, parquet in any order 1.5
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

import numpy as np
from PIL import Image

from nas.datasets import open_data
from nas.datasets.finding import find_source
from nas.datasets.rules import NEWEST
from nas.datasets.split import digest_split, stratify

CLASSES = 10


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=Path, help="a folder of JPEG files, at any depth")
    parser.add_argument("--count", type=int, default=60_000, help="rows that are opened")
    parser.add_argument("--decoded", type=int, default=6_000, help="images that are decoded")
    parser.add_argument("--rounds", type=int, default=5)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=asked.images and asked.images.parent) as folder:
        root = Path(folder)
        originals = sorted(asked.images.rglob("*.jpg")) if asked.images else made(root / "made", 1000)
        print(f"opening {asked.count:,} images, CPU seconds (median of {asked.rounds}):")
        report(opening, written(root / "many", originals, asked.count), asked.rounds)
        print(f"decoding {asked.decoded:,} images into the cache, opening included:")
        report(decoding, written(root / "some", originals, asked.decoded), asked.rounds)


def made(root: Path, count: int) -> list[Path]:
    root.mkdir()
    rng = np.random.default_rng(0)
    for number in range(count):
        small = Image.fromarray(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8))
        small.resize((32, 32), Image.Resampling.BICUBIC).save(root / f"{number:04}.jpg")
    return sorted(root.glob("*.jpg"))


def written(root: Path, originals: list[Path], count: int) -> dict[str, str]:
    """The same images in every format, by its name."""
    import pyarrow as pa
    from pyarrow import parquet

    names = sorted(f"class_{number % CLASSES}/{number:06}.jpg" for number in range(count))
    for number in range(CLASSES):
        (root / "images" / f"class_{number}").mkdir(parents=True)
    for number, name in enumerate(names):
        os.link(originals[number % len(originals)], root / "images" / name)
    rows = [f"{name[:-4]},{name.split('/')[0]}" for name in names]
    (root / "images.csv").write_text("\n".join(["id,label", *rows]))
    (root / "images.jsonl").write_text(
        "\n".join(json.dumps({"file_name": name, "label": name.split("/")[0]}) for name in names)
    )
    for order in ("in_order", "shuffled"):
        if order == "shuffled":
            np.random.default_rng(0).shuffle(names)
        contents = [{"bytes": (root / "images" / name).read_bytes(), "path": name} for name in names]
        table = pa.table({"image": contents, "label": [name.split("/")[0] for name in names]})
        parquet.write_table(table, root / f"{order}.parquet", row_group_size=1000)
    files = {"folder": "images", "CSV": "images.csv", "JSON lines": "images.jsonl"}
    files |= {"parquet": "in_order.parquet", "parquet, shuffled": "shuffled.parquet"}
    return {format: str(root / file) for format, file in files.items()}


def report(measure: object, sources: dict[str, str], rounds: int) -> None:
    """Every format in turn, so that a busy machine is busy for all of them."""
    taken: dict[str, list[float]] = {format: [] for format in sources}
    digests = {}
    for _ in range(rounds):
        for format, source in sources.items():
            start = time.process_time()
            digests[format] = measure(source)  # type: ignore[operator]
            taken[format].append(time.process_time() - start)
    for format, times in taken.items():
        print(f"  {format:<18} {median(times):.2f}  ({min(times):.2f}-{max(times):.2f})")
    print("  the same images in the same splits:", len(set(digests.values())) == 1)


def opening(source: str) -> str:
    made = find_source(source, None, NEWEST, root=root_of(source))
    made.key()
    listing = made.list_images()
    return digest_split(listing.names, stratify(listing, 0))


def decoding(source: str) -> str:
    with cache():
        data = open_data(source, root=root_of(source))
    return data.fingerprint + data.split_digest


def root_of(source: str) -> Path | None:
    """From where paths in a table lead."""
    path = Path(source)
    return path.parent / "images" if path.suffix in (".csv", ".jsonl") else None


@contextmanager
def cache() -> Iterator[None]:
    """An empty one."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ["NAS_CACHE"] = folder
        yield


if __name__ == "__main__":
    main()
