"""Recipes: defaults, files, flags, and what is wrong with them."""

import tomllib
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nas.errors import InvalidSetting
from nas.recipe import Recipe


def test_flags_override_the_file_and_the_file_overrides_the_defaults(tmp_path):
    file = tmp_path / "recipe.toml"
    file.write_text('epochs = 3\ntrials = 7\nsampler = "random"\n')
    recipe = Recipe.load(file, trials="9", pruner=None)
    assert (recipe.epochs, recipe.trials, recipe.sampler, recipe.pruner) == (3, 9, "random", "auto")


def test_a_printed_recipe_reads_back_equal(tmp_path):
    recipe = Recipe.load(
        study='odd "name"', data="C:\\images", time_limit="1h", workers="2", skip_broken=True
    )
    file = tmp_path / "recipe.toml"
    file.write_text(recipe.to_toml())
    assert Recipe.load(file) == recipe


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90", 90),
        ("90s", 90),
        ("30m", 1800),
        ("1h", 3600),
        ("1h30m", 5400),
        ("1.5h", 5400),
        ("1h 30m 5s", 5405),
        ("0.5", 0.5),
    ],
)
def test_a_duration_is_a_number_of_seconds_or_has_units(text, seconds):
    assert Recipe.load(time_limit=text).time_limit == seconds


@pytest.mark.parametrize(
    ("text", "setting"),
    [
        ("4GiB", "4GiB"),
        ("4096 MiB", "4GiB"),
        ("4294967296", "4GiB"),
        ("1.5 gib", "1536MiB"),
        ("2GB", "1953125KiB"),
        ("80%", "80%"),
        ("80.0 %", "80%"),
        ("auto", "auto"),
    ],
)
def test_an_amount_of_memory_equals_itself_however_it_is_written(text, setting):
    assert Recipe.load(memory_cap=text).memory_cap == setting


@pytest.mark.parametrize("asked", [{"optimizer": "sgd", "warmup": 0.5}, ["optimizer=sgd", "warmup=0.5"]])
def test_fixed_training_settings_are_a_table_or_texts(asked):
    assert Recipe.load(training=asked).training == {"optimizer": "sgd", "warmup": 0.5}


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"memory_cap": "lots"}, "an amount of memory such as 4GiB, 80% or auto"),
        ({"memory_cap": "0%"}, "a share above 0%"),
        ({"memory_cap": "101%"}, "a share above 0% and not above 100%"),
        ({"device_memory": "0"}, "device_memory cannot be '0'"),
        ({"training": ["optimizer"]}, "name=value, not 'optimizer'"),
        ({"trials": 0}, "trials cannot be 0, expected: greater than or equal to 1"),
        ({"trials": "many"}, "trials cannot be 'many'"),
        ({"time_limit": "soon"}, "a duration such as 90s, 30m or 1h30m"),
        ({"time_limit": "inf"}, "time_limit cannot be 'inf'"),
        ({"workers": "x"}, "or 'auto'"),
        ({"sampler": "cma"}, "sampler cannot be 'cma', expected: 'gp', 'random' or 'tpe'"),
        ({"pruner": "medium"}, "'hyperband', 'median', 'none', 'percentile' or 'standard_error'"),
        ({"engine": "remote"}, "engine cannot be 'remote', expected: 'local'"),
        ({"log": ["jsonl", "paper"]}, "log cannot be 'paper', expected: 'jsonl'"),
        ({"seed": -1}, "seed cannot be -1"),
        ({"target_accuracy": 97}, "target_accuracy cannot be 97"),
        ({"trails": 3}, "unknown setting 'trails': did you mean 'trials'?"),
        ({"trials": 0, "epochs": 0}, "; epochs cannot be 0"),
    ],
)
def test_a_wrong_setting_is_named_with_what_would_be_right(flags, message):
    with pytest.raises(InvalidSetting) as error:
        Recipe.load(**flags)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"epochs = ", "is not valid TOML"),
        (b"study = '\xe9t\xe9'", "is no text in UTF-8. Save it as UTF-8."),
        (b"\xff\xfe\xd8", "is no text in UTF-8. Save it as UTF-8."),
        (b"seed = " + b"9" * 5000, "is not valid TOML"),
        (b"training = " + b"[" * 5000, "is not valid TOML: it is nested too deeply"),
        (b"epoch = 3", "did you mean 'epochs'?"),
        (None, "cannot be read: No such file or directory"),
    ],
)
def test_an_unreadable_recipe_is_one_clear_line(tmp_path, content, message):
    file = tmp_path / "recipe.toml"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(InvalidSetting) as error:
        Recipe.load(file)
    assert message in str(error.value)
    assert str(file) in str(error.value)


@settings(max_examples=300, derandomize=True, deadline=None)
@given(
    st.dictionaries(
        st.sampled_from([*Recipe.model_fields, "nonsense"]),
        st.one_of(
            st.text(max_size=8),
            st.integers(),
            st.floats(),
            st.booleans(),
            st.lists(st.integers(), max_size=2),
        ),
        max_size=4,
    )
)
def test_nonsense_is_refused_in_one_line_or_makes_a_recipe(flags):
    with suppress(InvalidSetting):
        assert tomllib.loads(Recipe.load(**flags).to_toml())


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
def test_a_recipe_is_read_as_any_editor_or_shell_has_saved_it(tmp_path, encoding, line_end):
    mark = "\ufeff" if encoding.endswith("be") else ""
    text = mark + line_end.join(["epochs = 3", "# a comment", "study = '猫 été'", ""])
    (tmp_path / "recipe.toml").write_bytes(text.encode(encoding))
    recipe = Recipe.load(tmp_path / "recipe.toml")
    assert (recipe.epochs, recipe.study) == (3, "猫 été")


def test_a_recipe_for_a_file_of_an_unknown_encoding_is_ascii_and_reads_back_equal(tmp_path):
    recipe = Recipe.load(study="猫 été \x9b31m \U0001f431", folder="/tmp/\u202e", training={"é": 1})
    for ascii_only in (True, False):
        text = recipe.to_toml(ascii_only=ascii_only)
        assert text.isascii() == ascii_only
        assert all(line.isprintable() for line in text.splitlines())
        (tmp_path / "recipe.toml").write_text(text, encoding="utf-8")
        assert Recipe.load(tmp_path / "recipe.toml") == recipe


@pytest.mark.parametrize("how", ["python", "recipe"])
def test_a_tilde_is_the_home_folder_in_every_setting_that_may_be_a_path(tmp_path, monkeypatch, how):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    settings = dict.fromkeys(("folder", "data_dir", "data", "space"), "~/x") | {"baseline": ["~/x"]}
    if how == "recipe":
        lines = [f"{name} = {value!r}\n" for name, value in settings.items()]
        (tmp_path / "recipe.toml").write_text("".join(lines))
        settings = {"file": tmp_path / "recipe.toml"}
    recipe, x = Recipe.load(**settings), tmp_path / "home" / "x"
    assert (recipe.folder, recipe.data_dir) == (x, x)
    assert (recipe.data, recipe.space, recipe.baseline) == (str(x), str(x), (str(x),))


@pytest.mark.parametrize("name", ["folder", "data", "space", "baseline"])
def test_a_home_folder_that_nobody_knows_is_one_clear_line(name):
    with pytest.raises(InvalidSetting, match="~nobody-here/x: nobody knows that home folder"):
        Recipe.load(**{name: "~nobody-here/x"})


INCOMPARABLE = {
    "space": "mlp",
    "training": {"optimizer": "sgd"},
    "data": "folder",
    "image_size": 16,
    "split_seed": 1,
    "epochs": 99,
    "precision": "bf16",
    "seed": 1,
    "threads": 9,
    "memory_cap": "1GiB",
    "metric": "macro_f1",
    "class_weights": "balanced",
    "depth": "native",
}

COMPARABLE = {
    "trials": 99,
    "time_limit": 60,
    "target_accuracy": 0.9,
    "patience": 3,
    "baseline": "resnet8",
    "workers": 3,
    "device": "cpu",
    "device_memory": "1GiB",
    "sampler": "gp",
    "pruner": "none",
    "engine": "elsewhere",
    "log": ["jsonl"],
}


@pytest.mark.parametrize(("name", "value"), [*INCOMPARABLE.items(), *COMPARABLE.items()])
def test_a_setting_is_a_difference_if_it_would_make_trials_incomparable(name, value):
    before, after = Recipe(), Recipe(**{name: value})
    here, there = getattr(before, name), getattr(after, name)
    assert here != there
    assert before.differences(after) == ([(name, here, there)] if name in INCOMPARABLE else [])
