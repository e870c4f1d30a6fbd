"""The command line. A command is a few lines that call the facade; torch is imported late."""

import json
import sys
from collections.abc import Callable
from functools import wraps
from inspect import Parameter, Signature, signature
from pathlib import Path
from typing import Annotated, Any, Literal, NoReturn, get_args, get_origin

import typer

from nas.errors import InvalidSetting, NasError
from nas.recipe import Recipe

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Find the best image classifier for your data.",
    epilog="Start with: nas search --space cnn_fc",
)

Storage = Annotated[
    str | None,
    typer.Option(envvar="NAS_STORAGE", help="Database URL.", show_default="sqlite:///<folder>/nas.db"),
]
Folder = Annotated[Path, typer.Option(help="Where results lie.")]
StudyName = Annotated[str | None, typer.Argument(help="Name of the study.", show_default="the latest")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def examples(*lines: str) -> str:
    """An epilog that shows commands."""
    return "Examples:\n\n" + "\n\n".join(f"  {line}" for line in lines)


def metavar(annotation: Any) -> str | None:
    """What stands for a value in the help: N for a number, PATH for a path, NAME for one of a few."""
    if annotation is bool:
        return None
    if get_origin(annotation) is Literal:
        return get_args(annotation)[0] if len(get_args(annotation)) == 1 else "NAME"
    if get_origin(annotation) is Annotated:
        return metavar(get_args(annotation)[0])
    if parts := [part for part in get_args(annotation) if part is not type(None)]:
        return "|".join(metavar(part) or "" for part in parts)
    return {int: "N", float: "N", Path: "PATH"}.get(annotation, "TEXT")


def takes_settings(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command `--recipe` and a flag for every setting of a recipe, and hand it the resolved one."""

    def flag(name: str, annotation: Any, text: str, **options: Any) -> Parameter:
        kind: Any = annotation if annotation in (bool, Path) else str  # pydantic reads the text
        option = typer.Option(help=text, show_default=False, metavar=metavar(annotation), **options)
        annotated = Annotated[kind | None, option]
        return Parameter(name, Parameter.KEYWORD_ONLY, default=None, annotation=annotated)

    flags = [flag("recipe", Path, "TOML file of settings; flags override it.")]
    for name, field in Recipe.model_fields.items():
        environment = {"envvar": "NAS_STORAGE"} if name == "storage" else {}
        shown = field.default is not None and field.default is not False
        text = f"{field.description} (default {field.default})" if shown else str(field.description)
        flags.append(flag(name, field.annotation, f"{text[0].upper()}{text[1:]}.", **environment))
    own = list(signature(command).parameters.values())[1:]

    @wraps(command)
    def with_settings(**values: Any) -> None:
        file = values.pop("recipe")
        settings = {name: values.pop(name) for name in Recipe.model_fields}
        command(Recipe.load(file, **settings), **values)

    with_settings.__signature__ = Signature([*flags, *own])  # type: ignore[attr-defined]
    with_settings.__annotations__ = {}
    return with_settings


@app.command(
    epilog=examples(
        "nas search --space cnn_fc",
        "nas search --space cnn_fc --data path/to/images --trials 50 --time-limit 2h",
        "nas search --space ./my_space.py --recipe studies/cifar10.toml --device cuda:1",
    )
)
@takes_settings
def search(
    recipe: Recipe,
    *,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Print one line at the end, nothing before.")
    ] = False,
) -> None:
    """Search for the best architecture, or continue a study to more trials."""
    from nas import api
    from nas.events import Event, SearchEnded
    from nas.terminal import choose_view, decode_progress, print_summary

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
    print_summary(study, quiet=quiet)
    if endings == ["stopped"]:
        raise typer.Exit(130)


@app.command("recipe", epilog=examples("nas recipe > my.toml", "nas recipe --recipe my.toml --epochs 40"))
@takes_settings
def print_recipe(recipe: Recipe) -> None:
    """Print the resolved recipe as a file that --recipe reads."""
    sys.stdout.write(recipe.to_toml())


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


@app.command(
    epilog=examples("nas spaces", "nas spaces cnn_fc", "nas spaces ./my_space.py --data path/to/images")
)
def spaces(
    space: Annotated[
        str | None, typer.Argument(help="A search space: known name or path/to/file.py.")
    ] = None,
    data: Annotated[str, typer.Option(help="Ranges depend on the data.")] = "digits",
    as_json: AsJson = False,
) -> None:
    """List the search spaces, or the parameters of one and their ranges."""
    from nas.datasets import open_data
    from nas.plugins import known_spaces, load_space
    from nas.ranges import parameters
    from nas.terminal import print_parameters, print_spaces

    if space is None:
        print_spaces([load_space(name) for name in known_spaces()])
    else:
        found = load_space(space)
        print_parameters(found, parameters(found, open_data(data).info))


@app.command(
    epilog=examples(
        "nas inspect --space cnn_fc --set conv_stages=3 --set log2_filters=6 --data path/to/images",
        "nas inspect cnn_fc-digits --trial 12 --batch-size 512 --memory-cap 256MiB",
    )
)
def inspect(
    study: StudyName = None,
    trial: Annotated[int | None, typer.Option(help="A trial of the study (default the best).")] = None,
    space: Annotated[str | None, typer.Option(help="A search space instead of a study.")] = None,
    chosen: Annotated[list[str], typer.Option("--set", help="name=value; the others are smallest.")] = [],  # noqa: B006
    data: Annotated[str, typer.Option(help="With --space: the dataset.")] = "digits",
    batch_size: Annotated[int | None, typer.Option(help="Default that of the proposal.", min=1)] = None,
    precision: Annotated[Literal["fp32", "bf16"], typer.Option(help="Of the training.")] = "fp32",
    device: Annotated[Literal["cpu", "cuda"], typer.Option(help="Whose allocator; no GPU needed.")] = "cpu",
    memory_cap: Annotated[str | None, typer.Option(help="Plan training under it, such as 4GiB.")] = None,
    storage: Storage = None,
    folder: Folder = Path("studies"),
) -> None:
    """Show what a network costs before it is trained: layers, parameters, multiply-adds, training memory."""
    from nas import api, costing
    from nas.sizes import parse_size
    from nas.terminal import print_inspection

    if space is None:
        found = api.load_study(study, storage=storage, folder=folder).best_or(trial)
        proposal, info, title = found.proposal, found.data, f"Trial {found.number}"
    else:
        proposal, info = costing.propose(space, data, dict(setting(each) for each in chosen))
        title = f"{space} on {info.name}"
    cap = None if memory_cap is None else parse_size(memory_cap)
    print_inspection(title, costing.cost(proposal, info, batch_size, precision, device, cap))


def setting(text: str) -> tuple[str, str]:
    """Name and value of a `--set`."""
    name, equals, value = text.partition("=")
    if not equals:
        raise InvalidSetting(f"--set takes name=value, not {text!r}.")
    return name.strip(), value.strip()


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
    split_seed: Annotated[int, typer.Option(help="Chooses the validation images.")] = 0,
    clear: Annotated[bool, typer.Option("--clear", help="Delete all decoded images from the cache.")] = False,
) -> None:
    """Show a dataset: shape, classes, counts of every split; or list the known ones."""
    from nas.datasets import clear_cache, known_datasets, open_data
    from nas.terminal import decode_progress, print_data

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
                data_dir=data_dir,
                skip_broken=skip_broken,
                progress=progress,
            )
        print_data(found)
        if sheet is not None:
            from nas.datasets.summary import contact_sheet

            contact_sheet(found, sheet)
            print(f"\nSome images of every class: {sheet}")


def main() -> None:
    """The `nas` script: what the user can mend is one clear line and exit code 2, never a traceback."""
    try:
        sys.exit(app(standalone_mode=False))
    except NasError as error:
        fail(str(error), 2)
    except typer.TyperException as error:  # a flag or command that does not exist
        if error.format_message():  # empty when help was shown for want of arguments
            fail(f"{error.format_message().rstrip('.')}. See --help.", 2)
        sys.exit(2)


def fail(message: str, code: int) -> NoReturn:
    """Print one line and exit."""
    print(f"nas: {message}", file=sys.stderr)
    sys.exit(code)


if __name__ == "__main__":
    main()
