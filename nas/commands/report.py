"""`nas report`: the whole search as one page."""

from pathlib import Path
from typing import Annotated

import typer

from nas.commands.app import Folder, Storage, StudyName, app, examples


@app.command(epilog=examples("nas report", "nas report cnn_fc-digits -o report.html"))
def report(
    study: StudyName = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="File to write (default <study>-report.html).")
    ] = None,
    storage: Storage = None,
    folder: Folder = Path("studies"),
) -> None:
    """Write a report: one HTML page that needs no network and can be sent to anybody."""
    from nas import api
    from nas.views.format import clean, memory, place
    from nas.views.report.writing import write_report

    found = api.load_study(study, storage=storage, folder=folder)
    file = write_report(found, out or Path(f"{found.name}-report.html"))
    print(clean(f"{place(file)}  {memory(file.stat().st_size)}, opens in any browser, without a network"))
