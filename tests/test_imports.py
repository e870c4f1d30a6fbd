"""The house: imports go down only, and heavy packages stay in their rooms."""

import ast
import graphlib
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

HALL = {"__init__", "__main__", "cli", "errors", "events", "recipe"}
"""Files that stand in `nas/` itself: the contract words."""

FLOORS = (
    {"errors"},
    {"machine"},
    {"space", "recipe", "metrics"},
    {"datasets"},
    {"training", "samplers"},
    {"objectives", "seconds"},
    {"study", "memory"},
    {"events", "pruners"},
    {"network", "loggers"},
    {"engines", "exporters"},
    {"driver"},
    {"final"},
    {"views"},
    {"api"},
    {"testing"},
    {"commands"},
    {"cli"},
    {"__main__", "__init__"},
)
"""From the ground up: a room imports from lower floors alone, for type checkers too."""

SHELL = {"cli", "commands", "views/terminal"}

FORBIDDEN = {
    "torch": {"study", "driver/driver", "recipe", "events", "errors", "space/load", "space/contract"}
    | {"samplers", "pruners", "objectives", "metrics", "loggers"}
    | SHELL,
    "optuna": {"training", "memory", "datasets", "exporters", "recipe", "errors", "cli", "machine"}
    | {"objectives", "metrics", "loggers"},
    "sqlalchemy": {"training", "memory", "datasets", "engines", "network", "driver"}
    | {"samplers", "pruners", "objectives", "metrics", "loggers"}
    | SHELL,
    "rich": {"training", "memory", "datasets", "engines", "study", "driver", "api"}
    | {"samplers", "pruners", "objectives", "metrics", "loggers"},
}
"""Third-party packages and the rooms that never import them."""


def python_files(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


def room_of(file: Path) -> str:
    return file.relative_to(ROOT / "nas").parts[0].removesuffix(".py")


def module_of(file: Path) -> str:
    return ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


@cache
def modules() -> dict[str, Path]:
    return {module_of(file): file for file in python_files("nas")}


@cache
def imported_names(file: Path) -> tuple[str, ...]:
    """Dotted names, late imports and those for type checkers included."""
    return tuple(_imported_names(file))


def _imported_names(file: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file} has a relative import"
            assert node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def imported_modules(file: Path) -> Iterator[str]:
    """Modules of ours: `nas.a.b.name` is `nas.a.b`, unless it is a module itself."""
    for name in imported_names(file):
        if name.split(".")[0] == "nas" and name not in ("nas", "nas.__version__"):
            yield name if name in modules() else name.rpartition(".")[0]


def floor(room: str) -> int:
    (level,) = [level for level, rooms in enumerate(FLOORS) if room in rooms]
    return level


def test_the_hall_holds_contract_words_only() -> None:
    assert {file.stem for file in (ROOT / "nas").glob("*.py")} == HALL


@pytest.mark.parametrize("file", python_files("nas"), ids=lambda file: str(file.relative_to(ROOT)))
def test_imports_go_down_only(file: Path) -> None:
    room = room_of(file)
    inside = file.relative_to(ROOT / "nas").as_posix().removesuffix(".py")
    for name in imported_names(file):
        banned = FORBIDDEN.get(name.split(".")[0], set())
        at = [place for place in banned if inside == place or inside.startswith(f"{place}/")]
        assert not at or is_for_checkers(file, name), f"{at[0]} must not import {name}"
    for name in imported_modules(file):
        other = room_of(modules()[name])
        assert other == room or floor(other) < floor(room), f"{room} must not import {other} ({name})"


def is_for_checkers(file: Path, name: str) -> bool:
    """Whether an import is for type checkers alone, which load no package."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            for inner in ast.walk(node):
                if isinstance(inner, ast.ImportFrom) and name.startswith(f"{inner.module}."):
                    return True
    return False


def test_no_circle_of_files() -> None:
    graph = {name: {*imported_modules(file)} - {name} for name, file in modules().items()}
    graphlib.TopologicalSorter(graph).prepare()  # raises CycleError, which shows the circle


@pytest.mark.parametrize("file", python_files("search_spaces"), ids=lambda file: str(file.relative_to(ROOT)))
def test_search_spaces_know_only_the_contract(file: Path) -> None:
    allowed = {"optuna", "torch", *sys.stdlib_module_names}
    for name in imported_names(file):
        fine = name.split(".")[0] in allowed or name.startswith(("nas.space.", "search_spaces."))
        assert fine, f"{file.name} must not import {name}"


def test_no_child_of_nas_bears_the_name_of_a_public_function() -> None:
    import nas

    children = {path.stem for path in (ROOT / "nas").iterdir()}
    assert not children & {name for name in nas.__all__ if name.islower()}


LATE = (
    ("import nas", ["torch", "optuna", "pydantic", "numpy"]),
    ("import nas.cli", ["torch", "optuna", "sqlalchemy", "numpy", "sklearn"]),
    ("import nas.datasets", ["torch", "torchvision", "sklearn", "PIL"]),
    ("import nas.study.writer", ["torch", "torchvision"]),
    ("import nas.driver.driver", ["torch", "torchvision"]),
)
"""Imports, and what none of them loads, nor any before it."""


@pytest.mark.parametrize(("code", "absent"), LATE)
def test_heavy_packages_are_imported_late(code: str, absent: list[str]) -> None:
    assert not set(absent) & present_after()[code]


@cache
def present_after() -> dict[str, set[str]]:
    """The modules that are loaded after each import, one after the other in one process."""
    check = "import sys" + "".join(f"; {code}; print(*sys.modules)" for code, _ in LATE)
    run = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True, cwd=ROOT)
    codes = (code for code, _ in LATE)
    return {code: set(line.split()) for code, line in zip(codes, run.stdout.splitlines(), strict=True)}
