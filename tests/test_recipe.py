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
        ({"sampler": "cma"}, "'tpe', 'gp' or 'random'"),
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
        (b"\xff\xfe", "is not valid TOML"),
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
}


@pytest.mark.parametrize(("name", "value"), [*INCOMPARABLE.items(), *COMPARABLE.items()])
def test_a_setting_is_a_difference_if_it_would_make_trials_incomparable(name, value):
    before, after = Recipe(), Recipe.load(**{name: value})
    here, there = getattr(before, name), getattr(after, name)
    assert here != there
    assert before.differences(after) == ([(name, here, there)] if name in INCOMPARABLE else [])
