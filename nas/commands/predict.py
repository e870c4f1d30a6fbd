"""`nas predict` and `nas bench`: an export at work."""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from nas.commands.app import AsJson, app, examples
from nas.errors import InvalidSetting, NasError, UnknownName
from nas.machine.files import expanded
from nas.machine.texts import clean, plural

Export = Annotated[Path, typer.Argument(metavar="DIR", help="A folder that nas export wrote.")]
Trust = Annotated[
    bool,
    typer.Option(
        "--trust", help="Run model.py and model.pt2, which can hold code, of an export that is not yours."
    ),
]
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
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV; formulas begin with a quote.")] = False,
    max_pixels: Annotated[
        int, typer.Option(help="Width times height of the largest image that is read.", min=1)
    ] = 250_000_000,
    threads: Threads = None,
    trust: Trust = False,
) -> None:
    """Classify images with an exported network, after a look at its checksums.

    Checksums tell that files belong together, not who wrote them. Of an export that you did not make on this
    machine, only formats that cannot hold code are run (onnx, int8), unless you add --trust.

    Images of another size or kind are brought to what the network takes, and what was done is said. So are
    files of a folder that are no images. The exit code is 2 where an image could not be read.
    """
    from nas.exporters.use.classify import classify, image_files
    from nas.exporters.use.exported import Exported
    from nas.machine.allowance import processors
    from nas.views.terminal.predictions import print_csv, print_json, print_text

    if as_json and as_csv:
        raise InvalidSetting("Ask for --json or --csv, not for both.")
    opened = Exported.open(expanded(export), trust=trust)
    files, others = image_files([expanded(each) for each in images], native=opened.native)
    chosen, runtime = opened.load(format, threads or processors())
    if opened.withheld and format is None:
        said = f"{export} was not exported by you on this machine, so its {chosen} file is run:"
        print(clean(f"nas: {said} it cannot hold code. --trust allows the others."), file=sys.stderr)
    show = print_json if as_json else print_csv if as_csv else print_text
    answered = show(classify(opened, runtime, files, max_pixels), top)
    if others:
        typer.echo(f"{plural(len(others), 'file')} of no image type left out, such as {others[0]}", err=True)
    if not answered:
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
    trust: Trust = False,
    as_json: AsJson = False,
) -> None:
    """Measure how fast an exported network runs on this processor, each format in a fresh process.

    Of an export that you did not make on this machine, only formats that cannot hold code (onnx, int8) are
    run, unless you add --trust.
    """
    from nas.exporters.use.exported import Exported
    from nas.exporters.verify.measuring import processor_name
    from nas.machine.allowance import processors
    from nas.views.terminal import show
    from nas.views.terminal.export_pages import bench_page

    opened = Exported.open(expanded(export), trust=trust)
    for name in formats or ():
        if name not in opened.formats:
            raise UnknownName(f"format in {export}", name, opened.formats)
    threads = threads or processors()
    sizes = tuple(dict.fromkeys(batch_sizes or (1, 64)))
    measured: dict[str, dict[int, float]] = {}
    left_out: dict[str, str] = {}
    for name in formats or opened.formats:
        try:
            if name in opened.withheld:
                raise NasError(opened.refusal())
            measured[name] = opened.latencies(name, sizes, threads)
        except NasError as error:
            if formats:
                raise
            left_out[name] = str(error)
    if as_json:
        machine = {"processor": processor_name(), "threads": threads}
        print(json.dumps({**machine, "seconds": measured, "left_out": left_out}, indent=2))
    else:
        show(bench_page(measured, left_out, threads, processor_name()))
