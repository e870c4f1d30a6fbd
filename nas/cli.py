"""The command line: every command of `nas.commands`, and how it ends. Torch is imported late."""

import sys
from importlib import import_module

import typer

from nas.commands.app import app, fail
from nas.errors import NasError

COMMANDS = (
    "searching",
    "following",
    "serving",
    "showing",
    "reporting",
    "inspecting",
    "new_space",
    "exporting",
    "predicting",
    "datasets",
)
"""Modules of `nas.commands`, in the order of `nas --help`."""

for module in COMMANDS:
    import_module(f"nas.commands.{module}")


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


if __name__ == "__main__":
    main()
