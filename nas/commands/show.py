"""`nas show`: the trials of a study."""

import json
from pathlib import Path
from typing import Annotated

import typer

from nas.commands.app import AsJson, Folder, Storage, StudyName, app, examples


@app.command(
    epilog=examples(
        "nas show",
        "nas show cnn_fc-digits --trial 12",
        "nas show --trial 3 --trial 12",
        "nas show --json | jq .best.value",
    )
)
def show(
    study: StudyName = None,
    trial: Annotated[
        list[int] | None, typer.Option(help="Show this trial; given again, compare trials side by side.")
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="List every trial of a long study.")] = False,
    as_json: AsJson = False,
    storage: Storage = None,
    folder: Folder = Path("studies"),
) -> None:
    """List the trials of a study, show one of them, or compare some."""
    from nas import api
    from nas.views import terminal
    from nas.views.terminal.comparison import comparison_page
    from nas.views.terminal.trials import study_page, trial_page

    found = api.load_study(study, storage=storage, folder=folder)
    chosen = [found.trial(number) for number in dict.fromkeys(trial or [])]
    if as_json:
        listed = [each.to_json() for each in chosen]
        content = found.to_json() if not listed else listed[0] if len(listed) == 1 else listed
        print(json.dumps(content, indent=2))
    elif not chosen:
        terminal.show(study_page(found, terminal.console().width, everything=everything))
    elif len(chosen) == 1:
        terminal.show(trial_page(chosen[0]))
    else:
        terminal.show(comparison_page([each.record for each in chosen]))
