"""`nas spaces` and `nas inspect`: what is searched, and what a network of it costs."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from nas.commands.app import AsJson, DataDepth, Folder, Storage, StudyName, app, examples
from nas.errors import InvalidSetting


@app.command(
    epilog=examples("nas spaces", "nas spaces cnn_fc", "nas spaces ./my_space.py --data path/to/images")
)
def spaces(
    space: Annotated[
        str | None, typer.Argument(help="A search space: known name or path/to/file.py.")
    ] = None,
    data: Annotated[str, typer.Option(help="Ranges depend on the data.")] = "digits",
    depth: DataDepth = "8bit",
    as_json: AsJson = False,
) -> None:
    """List the search spaces, or the parameters of one and their ranges, and what a study trains first."""
    from nas.datasets import open_data
    from nas.errors import BrokenFile
    from nas.space.load import known_spaces, load_space
    from nas.space.parameters import parameters
    from nas.views.terminal import show
    from nas.views.terminal.space_pages import parameters_page, spaces_table

    if space is None:
        summaries = {}
        for name in known_spaces():
            try:
                summaries[name] = load_space(name).summary
            except BrokenFile as error:  # another distribution's: the others are listed all the same
                summaries[name] = str(error)
        show(spaces_table(summaries))
    else:
        from nas.network.middle import first_proposals  # torch comes with it

        found, info = load_space(space), open_data(data, depth=depth).info
        show(parameters_page(found, parameters(found, info), first_proposals(found, info)))


@app.command(
    epilog=examples(
        "nas inspect --space cnn_fc --set conv_stages=3 --set log2_filters=6 --data path/to/images",
        "nas inspect cnn_fc-digits --trial 12 --batch-size 512 --memory-cap 256MiB",
        "nas inspect --space cnn_400 --versus cnn_bottleneck --data path/to/images",
    )
)
def inspect(
    study: StudyName = None,
    trial: Annotated[int | None, typer.Option(help="A trial of the study (default the best).")] = None,
    space: Annotated[str | None, typer.Option(help="A search space instead of a study.")] = None,
    chosen: Annotated[list[str], typer.Option("--set", help="name=value; the others are smallest.")] = [],  # noqa: B006
    data: Annotated[str, typer.Option(help="With --space: the dataset.")] = "digits",
    depth: DataDepth = "8bit",
    versus: Annotated[
        str | None, typer.Option(help="Another search space or baseline, to see what it saves.")
    ] = None,
    batch_size: Annotated[int | None, typer.Option(help="Default that of the proposal.", min=1)] = None,
    precision: Annotated[Literal["fp32", "bf16"], typer.Option(help="Of the training.")] = "fp32",
    device: Annotated[Literal["cpu", "cuda"], typer.Option(help="Whose allocator; no GPU needed.")] = "cpu",
    memory_cap: Annotated[
        str | None, typer.Option(help="Plan training under it, such as 4GiB; a CUDA context comes on top.")
    ] = None,
    storage: Storage = None,
    folder: Folder = Path("studies"),
) -> None:
    """Show what a network costs before it is trained: layers, parameters, multiply-adds, training memory."""
    from nas import api
    from nas.machine.sizes import parse_size
    from nas.network import cost as costing
    from nas.views.terminal import show
    from nas.views.terminal.cost_pages import inspection_page, versus_page

    if space is None and chosen:
        raise InvalidSetting("--set chooses the parameters of a --space; those of a trial are what they are.")
    if space is not None and (study is not None or trial is not None):
        raise InvalidSetting("A study with --trial, or a --space: one of the two can be inspected.")
    if space is None:
        found = api.load_study(study, storage=storage, folder=folder).best_or(trial)
        subject = costing.Subject(found.build, found.proposal.training, found.data)
        title = f"Trial {found.number}"
    else:
        subject = costing.propose(space, data, dict(setting(each) for each in chosen), depth=depth)
        title = f"{space} on {subject.data.name}"
    cap = None if memory_cap is None else parse_size(memory_cap)
    cost = costing.cost(subject, batch_size, precision, device, cap)
    if versus is None:
        show(inspection_page(title, cost))
        return
    other = costing.propose(versus, info=subject.data)
    rival = costing.cost(other, cost.batch_size, precision, device, cap)
    show(versus_page((title, versus), (cost, rival)))


def setting(text: str) -> tuple[str, str]:
    """Name and value of a `--set`."""
    name, equals, value = text.partition("=")
    if not equals:
        raise InvalidSetting(f"--set takes name=value, not {text!r}.")
    return name.strip(), value.strip()
