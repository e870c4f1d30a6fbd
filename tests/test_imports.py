"""The house: imports go down only, and heavy packages stay in their rooms."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

FLOORS = [
    {"errors", "ending", "texts"},
    {"sizes", "versions", "disk", "streams", "children", "cgroups"},
    {"user_cache", "allowance"},
    {"space", "recipe", "user_files"},
    {"user_code"},
    {"plugins"},
    {"datasets", "layers", "ranges"},
    {"training", "drawing"},
    {"memory", "exporters"},
    {"network_check"},
    {"study", "engines", "events"},
    {"active", "devices"},
    {"ledger", "known", "watchdog", "rebuilding"},
    {"memory_account"},
    {"proposing", "placing"},
    {"driver", "preparation", "costing", "following"},
    {"running"},
    {"final"},
    {"trials"},
    {"api"},
    {"figures"},
    {"terminal", "dashboard", "report", "testing"},
    {"commands"},
    {"cli"},
    {"__main__", "__init__"},
]
"""From the ground up: a room imports from lower floors, and sideways only where SIDEWAYS says so."""

SIDEWAYS = {
    ("events", "study"),
    ("space", "errors"),
    ("ranges", "plugins"),
    ("versions", "__init__"),
    ("report", "terminal"),
    ("dashboard", "terminal"),
}

SHELL = {"cli", "commands", "terminal"}

FORBIDDEN = {
    "torch": {"study", "driver", "recipe", "events", "errors", "plugins", "ranges"} | SHELL,
    "optuna": {"training", "memory", "datasets", "layers", "exporters", "recipe", "errors", "cli"},
    "sqlalchemy": {"training", "memory", "datasets", "engines", "layers", "driver"} | SHELL,
    "rich": {"training", "memory", "datasets", "engines", "study", "driver", "api"},
}
"""Third-party packages and the rooms that never import them."""


def python_files(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


def room_of(file: Path) -> str:
    return file.relative_to(ROOT / "nas").parts[0].removesuffix(".py")


def imported_modules(file: Path) -> Iterator[str]:
    """Dotted names, late imports included; those for type checkers alone are left out."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    for_checkers = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if id(node) in for_checkers:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file} has a relative import"
            assert node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def floor(room: str) -> int:
    (level,) = [level for level, rooms in enumerate(FLOORS) if room in rooms]
    return level


@pytest.mark.parametrize("file", python_files("nas"), ids=lambda file: str(file.relative_to(ROOT)))
def test_imports_go_down_only(file: Path) -> None:
    room = room_of(file)
    for name in imported_modules(file):
        top, *rest = name.split(".")
        if top != "nas":
            assert room not in FORBIDDEN.get(top, ()), f"{room} must not import {top}"
            continue
        other = rest[0] if rest and (ROOT / "nas" / rest[0]).exists() else None
        other = other or (rest[0] if rest and (ROOT / "nas" / f"{rest[0]}.py").exists() else "__init__")
        if other == room or (room, other) in SIDEWAYS:
            continue
        if room in ("engines", "api") and name == "nas":
            continue  # its folder, its version
        assert floor(other) < floor(room), f"{room} must not import {other} ({name})"


@pytest.mark.parametrize("file", python_files("search_spaces"), ids=lambda file: str(file.relative_to(ROOT)))
def test_search_spaces_know_only_the_contract(file: Path) -> None:
    allowed = {"optuna", "torch", *sys.stdlib_module_names}
    for name in imported_modules(file):
        fine = name.split(".")[0] in allowed or name.startswith(("nas.space.", "search_spaces."))
        assert fine, f"{file.name} must not import {name}"


def test_no_module_bears_the_name_of_a_public_function() -> None:
    import nas

    modules = {file.stem for file in python_files("nas")}
    assert not modules & {name for name in nas.__all__ if name.islower()}


@pytest.mark.parametrize(
    ("code", "absent"),
    [
        ("import nas", ["torch", "optuna", "pydantic", "numpy"]),
        ("import nas.cli", ["torch", "optuna", "sqlalchemy", "numpy", "sklearn"]),
        ("import nas.datasets", ["torch", "torchvision", "sklearn", "PIL"]),
        ("import nas.study.writer", ["torch", "torchvision"]),
        ("import nas.driver.driver", ["torch", "torchvision"]),
    ],
)
def test_heavy_packages_are_imported_late(code: str, absent: list[str]) -> None:
    check = f"{code}; import sys; print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True, cwd=ROOT)
    assert not set(absent) & set(run.stdout.split())
