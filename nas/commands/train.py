"""`nas train`: the final model of a study."""

from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer

from nas.commands.app import Folder, SpaceFile, Storage, StudyName, app, examples, fail


@app.command(
    epilog=examples(
        "nas train",
        "nas train cnn_fc-digits --top 5 --seeds 3 --epochs 100",
        "nas train --ema 0.999 --mirror",
    )
)
def train(
    study: StudyName = None,
    top: Annotated[int, typer.Option(help="The best trials that are retrained.")] = 3,
    seeds: Annotated[int, typer.Option(help="Times that each of them is trained.")] = 3,
    epochs: Annotated[
        int | None, typer.Option(help="Of every training.", show_default="twice those of the search")
    ] = None,
    ema: Annotated[
        float | None, typer.Option(help="Keep an average of the weights with this decay, such as 0.999.")
    ] = None,
    compile: Annotated[bool, typer.Option("--compile", help="Use torch.compile; CUDA only.")] = False,
    mirror: Annotated[
        bool, typer.Option("--mirror", help="Also test with each image and its mirror image together.")
    ] = False,
    again: Annotated[
        bool, typer.Option("--again", help="Open the test images again; every report will say so.")
    ] = False,
    workers: Annotated[int | None, typer.Option(help="Trained at the same time.")] = None,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, cuda:<i>, mps or auto.")] = None,
    device_memory: Annotated[
        str | None, typer.Option(help="Memory that all may use together: 12GiB or 80%.")
    ] = None,
    space: SpaceFile = None,
    data: Annotated[
        str | None, typer.Option(help="Where its images lie, if they have moved.", show_default=False)
    ] = None,
    storage: Storage = None,
    folder: Folder = Path("studies"),
) -> None:
    """Train the model to ship: the best trials again, the winner on all images, and test it once.

    The test images are opened a single time, at the very end. Baselines and the best of the random start are
    trained the same way. Stopped or killed, the same command goes on.
    """
    from nas import api
    from nas.events import Event, SearchStarted
    from nas.study.openings import openings
    from nas.views.terminal import choose_view, decode_progress, show
    from nas.views.terminal.final import final_page

    found = api.load_study(study, storage=storage, folder=folder, space=space)
    before = len(openings(found.store))
    with ExitStack() as shown, decode_progress() as progress:
        view = None

        def watch(event: Event) -> None:
            nonlocal view
            if isinstance(event, SearchStarted):  # each phase is watched by itself
                shown.close()
                view = shown.enter_context(choose_view())
            if view is not None:
                view(event)

        try:
            final = found.train(
                top=top,
                seeds=seeds,
                epochs=epochs,
                ema=ema,
                compile=compile,
                mirror=mirror,
                again=again,
                watch=watch,
                progress=progress,
                workers=workers,
                device=device,
                device_memory=device_memory,
                data=data,
            )
        except KeyboardInterrupt:
            shown.close()
            opened = len(openings(found.store)) > before
            fail("stopped; the same command goes on" + " with --again" * (opened and not again), 130)
    show(final_page(found, final))
