"""`nas predict` and `nas bench`: an export at work."""

import json
from pathlib import Path
from typing import Annotated

import typer

from nas.commands.app import AsJson, app, examples
from nas.errors import InvalidSetting, NasError, UnknownName

Export = Annotated[Path, typer.Argument(metavar="DIR", help="A folder that nas export wrote.")]
Threads = Annotated[int | None, typer.Option(help="Of the processor.", min=1, show_default="all")]


@app.command(
    epilog=examples(
        "nas predict my_model image.png",
        "nas predict my_model photos/ --top 1 --csv > photos.csv",
        "nas predict my_model image.png --format int8 --json",
    )
)
def predict(
    export: Export,
    images: Annotated[list[Path], typer.Argument(help="Image files, and folders of them.")],
    top: Annotated[int, typer.Option(help="Classes to name, the likeliest first.", min=1)] = 5,
    format: Annotated[
        str | None, typer.Option(help="Run this format.", show_default="the fastest that is there")
    ] = None,
    as_json: AsJson = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV.")] = False,
    threads: Threads = None,
) -> None:
    """Classify images with an exported network, after a look at its checksums.

    Images of another size or kind are brought to what the network takes, and what was done is said. The exit
    code is 2 where one could not be read.
    """
    from nas.allowance import processors
    from nas.exporters.parts.classifying import classify, image_files
    from nas.exporters.parts.opening import Exported
    from nas.terminal.predictions import print_csv, print_json, print_text

    if as_json and as_csv:
        raise InvalidSetting("Ask for --json or --csv, not for both.")
    opened = Exported.open(export)
    files = image_files(images)
    _, runtime = opened.load(format, threads or processors())
    show = print_json if as_json else print_csv if as_csv else print_text
    if not show(classify(opened, runtime, files), top):
        raise typer.Exit(2)


@app.command(epilog=examples("nas bench my_model", "nas bench my_model --batch-size 256 --threads 1 --json"))
def bench(
    export: Export,
    formats: Annotated[
        list[str] | None, typer.Option("--format", help="May be given again.", show_default="all there are")
    ] = None,
    batch_sizes: Annotated[
        list[int] | None,
        typer.Option("--batch-size", help="May be given again.", min=1, show_default="1 and 64"),
    ] = None,
    threads: Threads = None,
    as_json: AsJson = False,
) -> None:
    """Measure how fast an exported network runs on this processor, each format in a fresh process."""
    from nas.allowance import processors
    from nas.exporters.parts.benching import latencies
    from nas.exporters.parts.machine import processor_name
    from nas.exporters.parts.opening import Exported
    from nas.terminal import print_bench

    opened = Exported.open(export)
    for name in formats or ():
        if name not in opened.formats:
            raise UnknownName(f"format in {export}", name, opened.formats)
    threads = threads or processors()
    sizes = tuple(dict.fromkeys(batch_sizes or (1, 64)))
    measured: dict[str, dict[int, float]] = {}
    left_out: dict[str, str] = {}
    for name in formats or opened.formats:
        try:
            measured[name] = latencies(opened, name, sizes, threads)
        except NasError as error:
            if formats:
                raise
            left_out[name] = str(error)
    if as_json:
        machine = {"processor": processor_name(), "threads": threads}
        print(json.dumps({**machine, "seconds": measured, "left_out": left_out}, indent=2))
    else:
        print_bench(measured, left_out, threads, processor_name())
