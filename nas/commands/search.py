"""`nas search` and the recipe it would follow."""

import sys
from typing import Annotated

import typer

from nas.commands.app import app, examples, fail
from nas.commands.recipe_flags import takes_settings
from nas.machine.ending import left_at_once
from nas.recipe import Recipe


@app.command(
    epilog=examples(
        "nas search --space cnn_fc",
        "nas search --space cnn_fc --data path/to/images --trials 50 --time-limit 2h",
        "nas search --data path/to/images --metric balanced_accuracy --class-weights balanced",
        "nas search --data train.csv --columns label=breed,group=owner --root photos",
        "nas search --space ./my_space.py --recipe studies/cifar10.toml --device cuda:1",
    )
)
@takes_settings(runs_files=True)
def search(
    recipe: Recipe,
    *,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Print one line at the end, nothing before.")
    ] = False,
) -> None:
    """Search for the best architecture, or continue a study to more trials."""
    with left_at_once():
        from nas import api
        from nas.events import Event, SearchEnded
        from nas.views.terminal import choose_view, decode_progress, show
        from nas.views.terminal.summary import one_line, summary_page

    endings: list[str] = []

    def watch(event: Event) -> None:
        view(event)
        if isinstance(event, SearchEnded):
            endings.append(event.why)

    try:
        with decode_progress(quiet) as progress, choose_view(quiet) as view:
            study = api.search(recipe, watch=watch, progress=progress)
    except KeyboardInterrupt:
        fail("stopped at once; running trials will be repeated by the next run", 130)
    trials = study.trials
    if quiet:
        print(one_line(study, trials))  # one line, however long: rich would wrap it
    else:
        show(summary_page(study, trials))
    if endings == ["stopped"]:
        raise typer.Exit(130)


@app.command("recipe", epilog=examples("nas recipe > my.toml", "nas recipe --recipe my.toml --epochs 40"))
@takes_settings(runs_files=False)
def print_recipe(recipe: Recipe) -> None:
    """Print the resolved recipe as a file that --recipe reads."""
    unicode = (sys.stdout.encoding or "utf-8").lower().startswith("utf")
    sys.stdout.write(recipe.to_toml(ascii_only=not unicode))
