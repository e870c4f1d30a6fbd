"""A thousand things that nobody should type: never a traceback, exit code 0 or 2, and no password shown."""

import io
import sys
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import pytest
import typer
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from nas import api, cli
from nas.commands.app import app
from nas.errors import NasError
from nas.network import cost as costing
from nas.recipe import Recipe
from nas.study.database import redacted

ENDLESS = {"watch", "dashboard"}
"""Commands that run until Ctrl-C where there is a study."""

SECRET = "hunter2"

COMMANDS: dict[str, Any] = typer.main.get_command(app).commands  # type: ignore[attr-defined]


def fuzz(examples: int) -> Any:
    """The same cases every time, so that a failure is found again."""
    return settings(
        max_examples=examples,
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )


class Stop(NasError):
    """Instead of training or tracing."""


@pytest.fixture(scope="module", autouse=True)
def workplace(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> Iterator[Path]:
    """A folder with a study, a recipe, a search space and things that are neither; nothing is trained."""
    folder = tmp_path_factory.mktemp("fuzz")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)

        def stop(*arguments: object, **named: object) -> None:
            raise Stop("nothing is trained here")

        with pytest.MonkeyPatch.context() as before:
            before.setattr("nas.api.study.run_search", lambda run, watch: None)
            api.search(space="mlp", device="cpu", threads=1, workers=1)
        patch.setattr(api, "search", stop)
        patch.setattr(costing, "cost", stop)
        Path("recipe.toml").write_text('space = "mlp"\ntrials = 3\n')
        Path("text.db").write_text("no database, but longer than sixteen bytes")
        Path("space.py").write_text("def suggest(trial, data):\n    return undefined\n")
        Path("binary").write_bytes(bytes(range(256)))
        Path("empty").touch()
        Path("folder").mkdir()
        yield folder


def nas(*arguments: str) -> tuple[int, str, str]:
    """Run a command: (exit code, standard output, standard error). Whatever else is raised fails the test."""
    out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8", errors) for errors in ("strict", "backslashreplace"))
    sys.argv, before = ["nas", *arguments], sys.argv
    try:
        with redirect_stdout(out), redirect_stderr(err):
            cli.main()
    except SystemExit as end:
        code = end.code
    finally:
        sys.argv = before
    out.flush()
    err.flush()
    texts = [stream.buffer.getvalue().decode() for stream in (out, err)]  # type: ignore[attr-defined]
    return int(code or 0), *texts  # type: ignore[return-value]


def check(*arguments: str) -> None:
    code, out, err = nas(*arguments)
    assert code in (0, 2)
    assert "Traceback" not in out + err
    assert SECRET not in err
    if code == 2:
        assert err.startswith("nas: ")
        assert err.count("\n") == 1, "one line"


# Values -------------------------------------------------------------------------------------------

words = st.text(
    st.characters(exclude_characters="\0/\\", exclude_categories=["Cs"])
    | st.characters(categories=["Cs"], min_codepoint=0xDC80, max_codepoint=0xDCFF),
    max_size=12,
)  # surrogates are what Python makes of bytes in an argument that are no UTF-8
numbers = st.one_of(
    st.integers().map(str),
    st.floats().map(str),
    st.sampled_from(["0", "-1", "1e400", "nan", "0x10", "１２", "1_000", "9" * 5000, "1.", "+3", " 4 "]),
)
amounts = st.sampled_from(
    [
        "90s",
        "1h",
        "1h90",
        "h",
        "-3m",
        "9e9h",
        "4GiB",
        "0%",
        "101%",
        "4 gib",
        "1e3MB",
        "auto",
        "tpe",
        "cpu",
        "cuda:x",
    ]
)
paths = st.sampled_from(
    [
        "recipe.toml",
        "text.db",
        "space.py",
        "binary",
        "empty",
        "folder",
        "nowhere/x",
        "",
        "~",
        "/dev/null",
        "x" * 300,
    ]
)
names = st.sampled_from(
    ["digits", "mlp", "cnn_fc", "mlp-digits", "cnn_fx", "digit", "a=b", "layers=1", "layers=x", "="]
)


@st.composite
def urls(draw: st.DrawFn) -> str:
    """Databases that do not exist, near ones and far ones; none on a host that would have to be looked up."""
    scheme = draw(
        st.sampled_from(
            [
                "postgresql",
                "postgresql+psycopg",
                "postgresql+psycopg2",
                "sqlite",
                "mysql",
                "postgres",
                "http",
                "",
            ]
        )
    )
    password = draw(st.one_of(st.none(), words.map(lambda word: f"{word}{SECRET}{word}")))
    if scheme == "sqlite":
        password = None  # whatever stands there is the name of a file
    user = draw(st.one_of(st.just("me"), words)) + (f":{password}" if password else "")
    host = draw(
        st.sampled_from(["127.0.0.1", "127.0.0.1:1", "127.0.0.1:x", "127.0.0.1:99999", "[::1]:1", ""])
    )
    path = draw(st.one_of(paths, words))
    query = draw(
        st.sampled_from(["", f"?password={SECRET}", "?host=/nowhere", "?port=1", "?connect_timeout=x", "?a"])
    )
    authority = f"{user}@{host}" if draw(st.booleans()) else host
    return f"{scheme}{draw(st.sampled_from(['://', ':', ':///', '']))}{authority}/{path}{query}"


values = st.one_of(words, numbers, amounts, paths, names)

toml_values = st.recursive(
    st.one_of(
        st.booleans().map(lambda flag: str(flag).lower()),
        st.integers().map(str),
        st.sampled_from(
            ["nan", "-inf", "1e5", "2026-01-01", "07:32:00", '"auto"', '"1h"', '"\\u0000"', "''", '"mlp"']
        ),
        st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="'"), max_size=8).map(
            "'{}'".format
        ),
    ),
    lambda inner: (
        st.lists(inner, max_size=3).map(lambda items: f"[{', '.join(items)}]")
        | inner.map(lambda item: f"{{ a = {item} }}")
    ),
    max_leaves=4,
)
keys = st.just("storage") | st.sampled_from([*Recipe.model_fields, "trails", "nas", '""', "a.b", "[study]"])
storages = urls().filter(lambda url: url.isprintable() and "'" not in url).map("'{}'".format)


def valued(name: str, otherwise: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Databases for `--storage` alone: a password that is put elsewhere is none of ours."""
    return st.one_of(urls(), otherwise) if name == "storage" else otherwise


# Cases --------------------------------------------------------------------------------------------


few_or_many = pytest.mark.parametrize("examples", [40, pytest.param(1000, marks=pytest.mark.slow)])


def a_recipe(entries: list[tuple[str, str]], shape: str, storage: str, rubbish: bytes, encoding: str) -> None:
    entries = [(key, shape.format(storage) if key == "storage" else value) for key, value in entries]
    lines = "".join(f"{key}\n" if key.startswith("[") else f"{key} = {value}\n" for key, value in entries)
    Path("fuzzed.toml").write_bytes(lines.encode(encoding) + (rubbish if len(rubbish) > 6 else b""))
    check("recipe", "--recipe", "fuzzed.toml")


@few_or_many
def test_recipes(examples: int) -> None:
    some = given(
        st.lists(st.tuples(keys, toml_values), max_size=5),
        st.sampled_from(["{}", "[{}]", "{{ a = {} }}"]),
        storages,
        st.binary(max_size=8),
        st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-16-le"]),
    )
    leaky = example([("storage", "")], "[{}]", f"'postgresql://me:{SECRET}@127.0.0.1/x'", b"", "utf-8")
    by_mistake = f"'postgresql://127.0.0.1/x?password={SECRET}'"
    of_a_table = example([("[study]", ""), ("storage", "")], "{}", by_mistake, b"", "utf-8")
    fuzz(examples)(of_a_table(leaky(some(a_recipe))))()


@fuzz(100)
@given(st.data(), st.lists(st.sampled_from(list(Recipe.model_fields)), max_size=4))
def test_settings_from_python(data: st.DataObject, names: list[str]) -> None:
    others = values | st.integers() | st.floats() | st.lists(st.integers(), max_size=2)
    said = ""
    try:
        Recipe.load(**{name: data.draw(valued(name, others)) for name in names})
    except NasError as error:
        said = str(error)
    assert "\n" not in said
    assert SECRET not in said


def a_url(url: str) -> None:
    assert SECRET not in redacted(url)
    check("show", "--storage", url)


@few_or_many
def test_urls(examples: int) -> None:
    some = given(urls())(a_url)
    for password in (f"{SECRET}/@", f"{SECRET}@{SECRET}@", f"{{{SECRET}}}@"):
        some = example(f"postgresql://me:{password}127.0.0.1:1/x")(some)
    some = example("postgresql://127.0.0.1/\udc80")(some)
    fuzz(examples)(some)()


@fuzz(60)
@given(st.data())
def test_commands_and_flags(data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(COMMANDS.keys() - ENDLESS)))
    arguments = [name]
    for parameter in data.draw(st.lists(st.sampled_from(COMMANDS[name].params), max_size=4)):
        flag = [parameter.opts[0]] if parameter.opts[0].startswith("-") else []
        takes_value = not getattr(parameter, "is_flag", False)
        arguments += flag + ([data.draw(valued(parameter.name, values))] if takes_value else [])
    check(*arguments)
