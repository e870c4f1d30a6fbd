"""`nas export`: the trained network as files."""

from pathlib import Path
from typing import Annotated

import typer

from nas.commands.app import Folder, Storage, StudyName, app, examples


@app.command(epilog=examples("nas export", "nas export cnn_fc-digits --trial 12 --out my_model"))
def export(
    study: StudyName = None,
    out: Annotated[Path | None, typer.Option(help="Folder to write (default <study>-export).")] = None,
    formats: Annotated[list[str], typer.Option("--format", help="May be given again.")] = ["source"],  # noqa: B006
    trial: Annotated[int | None, typer.Option(help="Export this trial (default the best).")] = None,
    storage: Storage = None,
    folder: Folder = Path("studies"),
) -> None:
    """Write the best network into a folder of files that run without nas."""
    from nas import api
    from nas.terminal import print_export

    found = api.load_study(study, storage=storage, folder=folder)
    chosen = found.best_or(trial)
    print_export(chosen, chosen.export(out or Path(f"{found.name}-export"), formats))
