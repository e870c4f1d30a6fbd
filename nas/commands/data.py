"""`nas data`: what is in a dataset."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from nas.commands.app import AsJson, DataDepth, app, examples
from nas.machine.files import expanded
from nas.machine.texts import clean
from nas.recipe import Recipe

LOOKED_AT = 64
"""Pixels, of images that differ in size and for which none is asked."""


@app.command(
    epilog=examples(
        "nas data path/to/images --image-size 64",
        "nas data train.csv --columns image=id,label=breed,group=owner --root photos --json",
        "nas data mnist --sheet mnist.png",
        "nas data --clear",
    )
)
def data(
    source: Annotated[str | None, typer.Argument(help="A dataset: known name or path.")] = None,
    sheet: Annotated[Path | None, typer.Option(help="Write a PNG with images of every class.")] = None,
    image_size: Annotated[int | None, typer.Option(help="Resize images to this many pixels square.")] = None,
    columns: Annotated[
        list[str] | None, typer.Option(help="Of a table: image=NAME,label=NAME,split=NAME,group=NAME.")
    ] = None,
    depth: DataDepth = "8bit",
    root: Annotated[Path | None, typer.Option(help="From where the paths in a table lead.")] = None,
    data_dir: Annotated[Path | None, typer.Option(help="Where downloaded datasets lie or are put.")] = None,
    skip_broken: Annotated[
        bool, typer.Option("--skip-broken", help="Leave unreadable and missing images out.")
    ] = False,
    max_pixels: Annotated[
        int, typer.Option(help="Width times height of the largest image that is read.", min=1)
    ] = 250_000_000,
    split_seed: Annotated[int, typer.Option(help="Chooses the validation images.")] = 0,
    as_json: AsJson = False,
    clear: Annotated[bool, typer.Option("--clear", help="Delete all decoded images from the cache.")] = False,
) -> None:
    """Show a dataset: shape, classes, sizes, copies and leaks between splits; or list the known ones.

    Of images that differ in size, without --image-size, as it would be with --image-size 64.
    """
    from nas.datasets import clear_cache, known_datasets, open_data
    from nas.datasets.decoding import SizesDiffer
    from nas.datasets.look import look
    from nas.views.terminal import decode_progress, show
    from nas.views.terminal.dataset import data_json, data_page

    if clear:
        print(f"{clear_cache() / 2**20:,.0f} MiB of decoded images deleted")
        return
    if source is None:
        print(json.dumps(known_datasets()) if as_json else "\n".join(known_datasets()))
        return
    settings: dict[str, Any] = {
        "split_seed": split_seed,
        "data_dir": data_dir and expanded(data_dir),
        "skip_broken": skip_broken,
        "max_pixels": max_pixels,
        "columns": Recipe.load(columns=columns or None).columns,
        "root": root and expanded(root),
        "depth": depth,
    }
    differ = False
    with decode_progress() as progress:
        try:
            found = open_data(source, image_size=image_size, progress=progress, **settings)
        except SizesDiffer:
            differ = True
            found = open_data(source, image_size=LOOKED_AT, progress=progress, **settings)
        seen = look(found)
    if as_json:
        print(json.dumps(data_json(found, seen), indent=2))
    else:
        show(data_page(found, seen))
        if differ:
            print(
                f"A search needs --image-size N: the images differ in size, and are shown as by {LOOKED_AT}."
            )
    if sheet is not None:
        sheet = expanded(sheet)
        from nas.datasets.contact_sheet import contact_sheet

        contact_sheet(found, sheet)
        if not as_json:
            print()
            print(clean(f"Some images of every class: {sheet}"))
