"""`nas new-space`: a search space of your own to start from."""

from pathlib import Path
from shlex import quote
from typing import Annotated

import typer

from nas.commands.app import app, examples
from nas.errors import InvalidSetting, StorageError
from nas.machine.files import expanded
from nas.machine.texts import clean


@app.command("new-space", epilog=examples("nas new-space my_space.py", "nas search --space my_space.py"))
def new_space(file: Annotated[Path, typer.Argument(help="The file to write, ending in .py.")]) -> None:
    """Write a small search space with comments, ready to run and to be changed."""
    from importlib.resources import files

    file = expanded(file)
    if file.suffix != ".py":
        raise InvalidSetting(f"A search space is a Python file: call it {file.stem}.py, not {file.name}.")
    text = files("search_spaces").joinpath("_new_space.py").read_text(encoding="utf-8")
    try:
        with file.open("x", encoding="utf-8") as new:
            new.write(text)
    except FileExistsError:
        raise InvalidSetting(f"{file} exists already, and is left as it is. Choose another name.") from None
    except OSError as error:
        raise StorageError(f"{file} cannot be written: {error.strerror}.") from error
    print(clean(f"{file} is a search space. Run it with: nas search --space {quote(str(file))}"))
