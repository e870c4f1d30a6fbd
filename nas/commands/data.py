"""`nas data`: what is in a dataset."""

from pathlib import Path
from typing import Annotated

import typer

from nas.commands.app import app, examples
from nas.machine.files import expanded
from nas.machine.texts import clean


@app.command(
    epilog=examples(
        "nas data path/to/images --image-size 64", "nas data mnist --sheet mnist.png", "nas data --clear"
    )
)
def data(
    source: Annotated[str | None, typer.Argument(help="A dataset: known name or path.")] = None,
    sheet: Annotated[Path | None, typer.Option(help="Write a PNG with images of every class.")] = None,
    image_size: Annotated[int | None, typer.Option(help="Resize images to this many pixels square.")] = None,
    data_dir: Annotated[Path | None, typer.Option(help="Where downloaded datasets lie or are put.")] = None,
    skip_broken: Annotated[bool, typer.Option("--skip-broken", help="Leave unreadable images out.")] = False,
    max_pixels: Annotated[
        int, typer.Option(help="Width times height of the largest image that is read.", min=1)
    ] = 250_000_000,
    split_seed: Annotated[int, typer.Option(help="Chooses the validation images.")] = 0,
    clear: Annotated[bool, typer.Option("--clear", help="Delete all decoded images from the cache.")] = False,
) -> None:
    """Show a dataset: shape, classes, counts of every split; or list the known ones."""
    from nas.datasets import clear_cache, known_datasets, open_data
    from nas.views.terminal import decode_progress, show
    from nas.views.terminal.dataset import data_page

    if clear:
        print(f"{clear_cache() / 2**20:,.0f} MiB of decoded images deleted")
    elif source is None:
        print("\n".join(known_datasets()))
    else:
        with decode_progress() as progress:
            found = open_data(
                source,
                split_seed=split_seed,
                image_size=image_size,
                data_dir=data_dir and expanded(data_dir),
                skip_broken=skip_broken,
                max_pixels=max_pixels,
                progress=progress,
            )
        show(data_page(found))
        if sheet is not None:
            sheet = expanded(sheet)
            from nas.datasets.contact_sheet import contact_sheet

            contact_sheet(found, sheet)
            print()
            print(clean(f"Some images of every class: {sheet}"))
