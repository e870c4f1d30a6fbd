"""`nas export`: the trained network as files."""

from pathlib import Path
from typing import Annotated

import typer

from nas.commands.app import Folder, SpaceFile, Storage, StudyName, app, examples, fail
from nas.errors import VerificationFailed


@app.command(
    epilog=examples(
        "nas export",
        "nas export cnn_fc-digits --trial 12 --out my_model",
        "nas export --format onnx --format int8 --uint8",
    )
)
def export(
    study: StudyName = None,
    out: Annotated[Path | None, typer.Option(help="Folder to write (default <study>-export).")] = None,
    formats: Annotated[
        list[str] | None,
        typer.Option("--format", help="May be given again.", show_default="source torch onnx int8"),
    ] = None,
    trial: Annotated[
        int | None,
        typer.Option(help="Export this trial.", show_default="the model of nas train, else the best"),
    ] = None,
    uint8: Annotated[
        bool, typer.Option("--uint8", help="Raw images go in: the preprocessing is part of the files.")
    ] = False,
    max_drop: Annotated[
        float, typer.Option(help="What int8 may lose of the metric on validation images.", min=0.0, max=1.0)
    ] = 0.01,
    overwrite: Annotated[
        bool,
        typer.Option("--overwrite", help="Replace files that were added to an earlier export or edited."),
    ] = False,
    space: SpaceFile = None,
    storage: Storage = None,
    folder: Folder = Path("studies"),
) -> None:
    """Write the best network into a folder of files that run without nas, each read back and verified.

    A file that does not do what the network does is not kept, and the exit code is 1.
    """
    from nas import api
    from nas.views.terminal import show
    from nas.views.terminal.export_pages import export_page

    found = api.load_study(study, storage=storage, folder=folder, space=space)
    chosen = (found.final if trial is None else None) or found.best_or(trial)
    try:
        done = chosen.export(
            out or Path(f"{found.name}-export"),
            formats or None,
            uint8=uint8,
            max_drop=max_drop,
            overwrite=overwrite,
        )
    except VerificationFailed as error:
        if error.export is not None:
            show(export_page(chosen, error.export))
        fail(str(error), 1)
    show(export_page(chosen, done))
