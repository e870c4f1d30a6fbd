"""The command line: every command of `nas.commands`, and how it ends. Torch is imported late."""

import os
import re
import sys
from importlib import import_module

from nas.machine.ending import ends_as_it_says, left_at_once

with left_at_once():
    import typer

    from nas.commands.app import app, fail
    from nas.errors import NasError
    from nas.machine.streams import GONE, ReaderGone, standard_streams

COMMANDS = (
    "search",
    "watch",
    "dashboard",
    "show",
    "report",
    "inspect",
    "new_space",
    "train",
    "export",
    "predict",
    "data",
)
"""Modules of `nas.commands`, in the order of `nas --help`."""

with left_at_once():
    for module in COMMANDS:
        import_module(f"nas.commands.{module}")


PASSWORD = re.compile(r"(?:--storage=)?[\w+]+://(?:[^/@:]*:[^/@]+@|.*[?&](?:ssl)?password=)")


@ends_as_it_says
def main() -> None:
    """The `nas` script: what the user can mend is one clear line and exit code 2, never a traceback."""
    if os.name == "posix" and any(PASSWORD.match(argument) for argument in sys.argv[1:]):
        hide_password()
    url = os.environ.pop("NAS_STORAGE", None)  # no code that a command runs, nor its children, find it there
    storage = {name: {"storage": url} for name in names() if url}
    with standard_streams():
        try:
            code = app(standalone_mode=False, default_map=storage)
            sys.stdout.flush()
            sys.exit(code)
        except ReaderGone:
            sys.exit(GONE)
        except NasError as error:
            fail(str(error), 2)
        except typer.TyperException as error:  # a flag or command that does not exist
            if error.format_message():  # empty when help was shown for want of arguments
                fail(f"{error.format_message().rstrip('.')}. See --help.", 2)
            sys.exit(2)
        finally:
            if url:
                os.environ["NAS_STORAGE"] = url


def names() -> list[str]:
    """Of all commands."""
    return [each.name or each.callback.__name__ for each in app.registered_commands if each.callback]


def hide_password() -> None:
    """Start again with the URL of `--storage` in the environment: everybody may read a process list."""
    arguments, kept = iter(sys.orig_argv), []
    for argument in arguments:
        if argument.startswith("--storage="):
            os.environ["NAS_STORAGE"] = argument.partition("=")[2]
        elif argument == "--storage":
            os.environ["NAS_STORAGE"] = next(arguments, "")
        else:
            kept.append(argument)
    if kept != sys.orig_argv:
        os.execv(sys.executable, kept)


if __name__ == "__main__":
    main()
