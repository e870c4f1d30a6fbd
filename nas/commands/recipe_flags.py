"""`--recipe` and a flag for every setting of a recipe."""

from collections.abc import Callable, Mapping
from functools import wraps
from inspect import Parameter, Signature, signature
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin

import typer

from nas.recipe import Recipe


def takes_settings(*, runs_files: bool) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command `--recipe` and a flag for every setting of a recipe, and hand it the resolved one.

    Args:
        runs_files: whether the command runs the search space and the baselines.
    """

    def wrapped(command: Callable[..., None]) -> Callable[..., None]:
        own = list(signature(command).parameters.values())[1:]

        @wraps(command)
        def with_settings(**values: Any) -> None:
            file = values.pop("recipe")
            settings = {name: values.pop(name) for name in Recipe.model_fields}
            settings = {name: None if value == [] else value for name, value in settings.items()}
            recipe = Recipe.load(file, **settings)
            if file is not None and runs_files:
                check_files(recipe, file, settings)
            command(recipe, **values)

        with_settings.__signature__ = Signature([*flags(), *own])  # type: ignore[attr-defined]
        with_settings.__annotations__ = {}
        return with_settings

    return wrapped


def flags() -> list[Parameter]:
    """`--recipe`, and one for every setting."""

    def flag(name: str, annotation: Any, text: str, **options: Any) -> Parameter:
        kinds = (annotation, *get_args(annotation))
        repeatable = any(get_origin(kind) in (dict, tuple) for kind in kinds)
        kind: Any = annotation if annotation in (bool, Path) else list[str] if repeatable else str
        option = typer.Option(help=text, show_default=False, metavar=metavar(annotation), **options)
        annotated = Annotated[kind | None, option]
        return Parameter(name, Parameter.KEYWORD_ONLY, default=None, annotation=annotated)

    found = [flag("recipe", Path, "TOML file of settings; flags override it.")]
    for name, field in Recipe.model_fields.items():
        environment = {"envvar": "NAS_STORAGE"} if name == "storage" else {}
        shown = field.default not in (None, False, (), {})
        text = f"{field.description} (default {field.default})" if shown else str(field.description)
        found.append(flag(name, field.annotation, f"{text[0].upper()}{text[1:]}.", **environment))
    return found


def check_files(recipe: Recipe, file: Path, flags: Mapping[str, Any]) -> None:
    """Files that a recipe alone names are not run, unless this user has run them before.

    Raises:
        StudyError: this user has not.
    """
    from nas.space.load import check_known

    if flags["space"] is None:
        check_known(recipe.space, str(file), "--space")
    if flags["baseline"] is None:
        for name in recipe.baseline:
            check_known(name, str(file), "--baseline")


def metavar(annotation: Any) -> str | None:
    """What stands for a value in the help: N for a number, PATH for a path, NAME for one of a few …"""
    if annotation is bool:
        return None
    if get_origin(annotation) is Literal:
        return get_args(annotation)[0] if len(get_args(annotation)) == 1 else "NAME"
    if get_origin(annotation) is Annotated:
        return metavar(get_args(annotation)[0])
    if get_origin(annotation) is dict:
        return "NAME=VALUE"
    if parts := [part for part in get_args(annotation) if part not in (type(None), ...)]:
        return "|".join(metavar(part) or "" for part in parts)
    return {int: "N", float: "N", Path: "PATH"}.get(annotation, "TEXT")
