"""Installed from a wheel, installed editable, or run from a checkout: the search finds its spaces."""

import os
import shutil
import site
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from setuptools import find_packages

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what is packaged, so that building leaves nothing in the checkout."""
    copy = tmp_path_factory.mktemp("source")
    for name in ("nas", "search_spaces"):
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, copy)
    return copy


def run(*command: str | Path, cwd: Path) -> str:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    environment.pop("PYTHONPATH", None)
    done = subprocess.run(list(map(str, command)), cwd=cwd, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture
def environment(tmp_path: Path) -> Path:
    """A fresh virtual environment that sees the packages of this one, but not our own."""
    folder = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    others = tmp_path / "others"
    others.mkdir()
    for parent in map(Path, site.getsitepackages()):
        for entry in parent.iterdir():
            if not entry.name.startswith(("nas", "search_spaces", "optuna_nas", "__editable__")):
                (others / entry.name).symlink_to(entry)
    (folder / "lib" / version / "site-packages" / "others.pth").write_text(str(others))
    return folder / "bin"


def test_every_folder_with_code_ships() -> None:
    include = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]["find"]
    packages = set(find_packages(str(ROOT), **include))
    for top in ("nas", "search_spaces"):
        for file in (ROOT / top).rglob("*.py"):
            assert ".".join(file.parent.relative_to(ROOT).parts) in packages, file


@pytest.mark.slow
@pytest.mark.parametrize("editable", [False, True], ids=["wheel", "editable"])
def test_an_installed_nas_searches_from_an_empty_folder(
    source: Path, environment: Path, tmp_path: Path, editable: bool
) -> None:
    pip = (environment / "python", "-m", "pip")
    options = (
        "--no-deps",
        "--no-build-isolation",
        "--ignore-installed",
        "--quiet",
        "--disable-pip-version-check",
    )
    run(*pip, "install", *options, *(["--editable"] if editable else []), source, cwd=tmp_path)
    empty = tmp_path / "empty"
    empty.mkdir()

    where = run(environment / "python", "-c", "import nas; print(nas.__file__)", cwd=empty)
    assert (str(source) in where) is editable
    out = run(environment / "nas", "search", "--space", "mlp", "--trials", 1, "--epochs", 1, cwd=empty)
    assert "mlp-digits" in out
    assert (empty / "studies" / "nas.db").exists()
    assert not (empty / "search_spaces").exists()


def test_a_checkout_runs_without_being_installed(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-P", "-m", "nas", "spaces"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
    assert "cnn_fc" in done.stdout
