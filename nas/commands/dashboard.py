"""`nas dashboard`: a search in the browser."""

import os
import sys
import webbrowser
from pathlib import Path
from typing import Annotated

import typer

from nas.commands.app import Folder, Storage, StudyName, app, examples
from nas.machine.texts import clean


@app.command(
    epilog=examples(
        "nas dashboard",
        "nas dashboard cnn_fc-digits --port 9000",
        "nas dashboard --host 0.0.0.0 --no-browser",
        "nas dashboard --allow-host gpu.example.org --base-path /nas",
    )
)
def dashboard(
    study: StudyName = None,
    host: Annotated[
        str, typer.Option(help="Where to listen; others than this machine need a token.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="A free one is taken if it is in use.", min=0, max=65535)] = 8080,
    token_file: Annotated[
        Path | None, typer.Option(help="Holds the token to ask for.", show_default="a new one where needed")
    ] = None,
    writable: Annotated[
        bool, typer.Option("--writable", help="Let trials be failed, and studies renamed and deleted.")
    ] = False,
    no_browser: Annotated[bool, typer.Option("--no-browser", help="Only print the address.")] = False,
    allow_host: Annotated[
        list[str] | None,
        typer.Option(help="A name by which a proxy is asked for it; may be given again.", metavar="NAME"),
    ] = None,
    base_path: Annotated[
        str, typer.Option(help="Path below which a proxy shows it, such as /nas.", show_default="none")
    ] = "",
    storage: Storage = None,
    folder: Folder = Path("studies"),
) -> None:
    """Watch a study in the browser, while its search runs or after: Optuna's dashboard, and a live page."""
    from nas.views.dashboard.serving import open_dashboard

    opened = open_dashboard(
        study,
        storage=storage,
        folder=folder,
        host=host,
        port=port,
        token_file=token_file,
        writable=writable,
        allow_hosts=allow_host or (),
        base_path=base_path,
    )
    if hasattr(os, "nice"):
        os.nice(5)  # whatever visitors ask for, a search on this machine comes first
    print(f"{clean(opened.study)}: {opened.url}\nlive page: {opened.live}")
    print(f"{'Writable' if writable else 'Read-only'}. Ctrl-C ends it.", flush=True)
    if not no_browser and _has_desktop():
        webbrowser.open(opened.url)
    opened.run()


def _has_desktop() -> bool:
    """Elsewhere a browser would take the terminal."""
    return sys.platform in ("darwin", "win32") or bool({"DISPLAY", "WAYLAND_DISPLAY"} & os.environ.keys())
