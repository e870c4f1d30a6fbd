"""`nas show`: the trials of a study."""

import json
from pathlib import Path
from typing import Annotated

import typer

from nas.commands.app import AsJson, Folder, Storage, StudyName, app, examples


@app.command(
    epilog=examples("nas show", "nas show cnn_fc-digits --trial 12", "nas show --json | jq .best.value")
)
def show(
    study: StudyName = None,
    trial: Annotated[int | None, typer.Option(help="Show this trial: its layers and its curve.")] = None,
    as_json: AsJson = False,
    storage: Storage = None,
    folder: Folder = Path("studies"),
) -> None:
    """List the trials of a study, or show one of them."""
    from nas import api

    found = api.load_study(study, storage=storage, folder=folder)
    if as_json:
        content = found.to_json() if trial is None else found.trial(trial).record.to_json()
        print(json.dumps(content, indent=2))
        return
    from nas.terminal import print_study, print_trial

    if trial is None:
        print_study(found)
    else:
        print_trial(found.trial(trial))
