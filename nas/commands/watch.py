"""`nas watch`: a search that runs elsewhere."""

import signal
from contextlib import suppress
from pathlib import Path

from nas.commands.app import Folder, Storage, StudyName, app, examples
from nas.machine.files import expanded
from nas.machine.texts import clean


@app.command(
    epilog=examples("nas watch", "nas watch cnn_fc-digits", "nas watch --storage postgresql://host/nas")
)
def watch(study: StudyName = None, storage: Storage = None, folder: Folder = Path("studies")) -> None:
    """Watch a search that another process runs, until it ends or Ctrl-C; the search does not notice."""
    from rich.text import Text

    from nas import api
    from nas.study.database import storage_errors, storage_url
    from nas.views.follow import follow
    from nas.views.terminal import choose_view, show
    from nas.views.terminal.summary import summary_page

    folder = expanded(folder)
    found = api.load_study(study, storage=storage, folder=folder)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    runs = False
    with storage_errors(storage_url(storage, folder), folder):
        with suppress(KeyboardInterrupt), choose_view() as view:
            for event in follow(found.store):
                runs = True
                view(event)
        if not runs:
            show(Text(clean(f"No search of study {found.name!r} is running."), style="cyan"))
        show(summary_page(found, found.trials))
