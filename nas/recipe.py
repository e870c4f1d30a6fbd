"""Every setting of a search in one frozen object: from TOML and flags, stored in the study as resolved."""

import re
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
)

from nas.errors import InvalidSetting
from nas.machine.files import expanded, expanded_text
from nas.machine.plugins import ENGINES, LOGGERS, METRICS, PRUNERS, SAMPLERS, Plugins
from nas.machine.sizes import memory_amount
from nas.machine.toml import escaped, plain, read_toml, toml_of

Count = Annotated[int, Field(ge=1)]
Precision = Literal["auto", "fp32", "bf16"]
Depth = Literal["8bit", "native"]
Weight = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Setting = bool | int | float | str | dict[str, Weight]
Amount = Annotated[str, BeforeValidator(memory_amount)]
Place = Annotated[Path, AfterValidator(expanded)]
NameOrPlace = Annotated[str, AfterValidator(expanded_text)]

ROLES = ("image", "label", "split", "group")
"""What columns of a table may be."""

INCOMPARABLE = (
    *("space", "training", "data", "image_size", "split_seed", "epochs", "precision", "seed", "threads"),
    *("memory_cap", "metric", "class_weights", "depth"),
)
"""Settings that a study keeps for life: with another value its trials could not be compared."""


def seconds(value: object) -> object:
    """A duration in seconds: a number, or a text such as "90s", "1.5h" or "1h30m"."""
    if not isinstance(value, str) or value == "auto" or re.fullmatch(r"[\d.]+", value):
        return value
    number = r"(\d+(?:\.\d+)?)"
    match = re.fullmatch(f"(?:{number}h)?(?:{number}m)?(?:{number}s)?", value.replace(" ", ""))
    if not value or match is None:
        raise ValueError("a duration such as 90s, 30m or 1h30m")
    hours, minutes, rest = (float(part or 0) for part in match.groups())
    return 3600 * hours + 60 * minutes + rest


def pairs(value: object) -> object:
    """A table of settings: a mapping, or texts such as "optimizer=adamw"."""
    if not isinstance(value, list | tuple):
        return value
    table = {}
    for text in value:
        name, equals, setting = str(text).partition("=")
        if not equals:
            raise ValueError(f"name=value, not {text!r}")
        table[name.strip()] = plain(setting.strip())
    return table


def weights(value: object) -> object:
    """Weights of classes: "balanced", a mapping, or texts such as "cat=3"; "none" is None."""
    if not isinstance(value, list | tuple):
        return None if value == "none" else value
    if len(value) == 1 and value[0] in ("balanced", "none"):
        return weights(value[0])
    named = [str(text).rpartition("=") for text in value]  # of a class, too, whose name has one
    if not all(equals for _, equals, _ in named):
        raise ValueError("balanced, none or class=weight")
    return {name.strip(): plain(weight.strip()) for name, _, weight in named}


def column_pairs(value: object) -> object:
    """A table of columns by role: a mapping, or texts such as "image=file,label=breed"."""
    texts = [value] if isinstance(value, str) else value
    if isinstance(texts, list | tuple):  # names of columns may hold commas
        parts = [part for text in texts for part in re.split(r",(?=\s*\w+\s*=)", str(text))]
        value = {role.strip(): name.strip() for role, _, name in (part.partition("=") for part in parts)}
    if isinstance(value, Mapping) and not ({*value} <= {*ROLES} and all(value.values())):
        raise ValueError(" or ".join(f"{role}=NAME" for role in ROLES))
    return value


def one_or_more(value: object) -> object:
    """A list, also of one; "none" is an empty one."""
    value = [value] if isinstance(value, str) else value
    return [] if value in (["none"], ("none",)) else value


def known(plugins: Plugins, *others: str) -> AfterValidator:
    """A name out of those that there are; `others` besides.

    What was stored is not checked: a study is shown, and trained anew, without a plug-in that searched it.
    """

    def check(name: str, info: ValidationInfo) -> str:
        if info.context is ASKED and name not in (*others, *plugins.shipped(), *plugins.of_others()):
            *most, last = map(repr, [*others, *plugins.names()])
            raise ValueError(f"{', '.join(most)} or {last}" if most else last)
        return name

    return AfterValidator(check)


ASKED = {"asked": True}
"""The context of settings that somebody has just given."""

Metric = Annotated[str, known(METRICS)]
Sampler = Annotated[str, known(SAMPLERS)]
Pruner = Annotated[str, known(PRUNERS, "auto")]
Engine = Annotated[str, known(ENGINES)]
Logger = Annotated[str, known(LOGGERS)]


def listed(plugins: Plugins) -> str:
    """Those that come with us, for a description."""
    return ", ".join(plugins.shipped())


class Recipe(BaseModel):
    """The settings of a study and of a run. Fields are the flags of `nas search` and the keys of a recipe."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    space: NameOrPlace = Field("cnn_fc", description="search space: known name or path/to/file.py")
    training: Annotated[dict[str, Setting], BeforeValidator(pairs)] = Field(
        {}, description="training settings to fix, whatever the space proposes: name=value"
    )
    data: NameOrPlace = Field(
        "digits",
        description="dataset: known name, folder of class folders, or table (.csv, .jsonl, .parquet)",
    )
    columns: Annotated[dict[str, str], BeforeValidator(column_pairs)] = Field(
        {}, description="columns of a table that is the dataset: image=NAME,label=NAME,split=NAME,group=NAME"
    )
    root: Place | None = Field(None, description="folder from which the paths in a table lead")
    image_size: Count | None = Field(None, description="resize images to a square of this many pixels")
    depth: Depth = Field(
        "8bit",
        description="depth of images: 8bit, grey or RGB; native keeps 16 bits and any number of channels",
    )
    data_dir: Place | None = Field(None, description="where downloaded datasets lie or are put")
    skip_broken: bool = Field(
        False, description="leave unreadable and missing images out instead of stopping"
    )
    max_pixels: Count = Field(250_000_000, description="width times height of the largest image that is read")
    split_seed: int = Field(0, ge=0, description="chooses the validation images")
    study: str | None = Field(None, description="name of the study (default <space>-<data>)")
    storage: str | None = Field(None, description="database URL (default sqlite:///<folder>/nas.db)")
    folder: Place = Field(Path("studies"), description="where results go")
    trials: Count = Field(30, description="trained trials in all; ask for more later")
    time_limit: Annotated[float, BeforeValidator(seconds), Field(gt=0, allow_inf_nan=False)] | None = Field(
        None, description="end this run, its baselines included, after 90s, 30m, 1h30m"
    )
    trial_time: Annotated[
        Annotated[float, Field(gt=0, allow_inf_nan=False)] | Literal["auto"], BeforeValidator(seconds)
    ] = Field(
        "auto",
        description="what one trial may take: 90s, 5m, or auto: a sixth of --time-limit; without one, a"
        " multiple of the work of the first trial",
    )
    target_accuracy: Annotated[float, Field(gt=0, le=1)] | None = Field(
        None, description="end the search when the value of a trial, its --metric, reaches this"
    )
    metric: Metric = Field(
        "accuracy", description=f"what the value of a trial is, by which it is ranked: {listed(METRICS)}"
    )
    class_weights: Annotated[Literal["balanced"] | dict[str, Weight] | None, BeforeValidator(weights)] = (
        Field(
            None,
            description="how much images of each class count in the loss: balanced, for all classes to count"
            " alike, or class=weight; those that are not named weigh 1",
        )
    )
    epochs: Count = Field(12, description="epochs of a trial that is not pruned")
    patience: Count | None = Field(
        None, description="prune a trial after this many epochs without a new best"
    )
    baseline: Annotated[tuple[NameOrPlace, ...], BeforeValidator(one_or_more)] = Field(
        (), description="train this too, to compare with: known name, path/to/file.py, or none"
    )
    start: Annotated[tuple[Place, ...], BeforeValidator(one_or_more)] = Field(
        (), description="proposals to train first, in a new study: TOML file of parameters, or none"
    )
    warm_start: str | None = Field(
        None, description="study of the same search space, whose best five a new study trains first"
    )
    workers: Count | Literal["auto"] = Field("auto", description="trials trained at the same time")
    threads: Count | Literal["auto"] = Field("auto", description="processor threads of one worker")
    device: str = Field("auto", description="device: cpu, cuda, cuda:<i>, mps or auto")
    memory_cap: Amount = Field(
        "auto",
        description="memory that one trial may use: 4GiB, or 80% of what is free at the study's first start",
    )
    device_memory: Amount = Field(
        "auto", description="memory that all running trials of a card may use together: 12GiB or 80%"
    )
    precision: Precision = Field(
        "auto", description="training precision: fp32, bf16, or auto: bf16 on CUDA that has it"
    )
    seed: int = Field(0, ge=0, description="seed of the search and of every trial in it")
    sampler: Sampler = Field("tpe", description=f"who proposes trials: {listed(SAMPLERS)}")
    pruner: Pruner = Field("auto", description=f"who ends trials early: {listed(PRUNERS)} or auto")
    engine: Engine = Field("local", description=f"where trials are trained: {listed(ENGINES)}")
    log: Annotated[tuple[Logger, ...], BeforeValidator(one_or_more)] = Field(
        (), description=f"write each event of the search down, too: {listed(LOGGERS)}, or none"
    )

    @classmethod
    def load(cls, file: Path | None = None, **flags: Any) -> Self:
        """The defaults, overridden by a TOML file, overridden by every flag that is not None.

        Raises:
            InvalidSetting: an unreadable file, an unknown key or a value out of range.
        """
        settings = read_toml(expanded(file), "recipe") if file else {}
        settings |= given(flags)
        try:
            return cls.model_validate(settings, context=ASKED)
        except ValidationError as error:
            where = f"{file}: " if file else ""
            raise InvalidSetting(f"{where}{_explain(error, list(cls.model_fields))}") from None

    @property
    def fixed(self) -> dict[str, Any]:
        """The training settings that are fixed, those of the classes' weights included."""
        return self.training | ({"class_weights": self.class_weights} if self.class_weights else {})

    def differences(self, other: "Recipe") -> list[tuple[str, object, object]]:
        """(setting, here, there) for each setting whose change would make trials incomparable."""
        pairs = [(name, getattr(self, name), getattr(other, name)) for name in INCOMPARABLE]
        return [(name, here, there) for name, here, there in pairs if here != there]

    def to_toml(self, *, ascii_only: bool = False) -> str:
        """The recipe as a file that `Recipe.load` reads back; unset settings are comments.

        Args:
            ascii_only: for a file of an unknown encoding.
        """
        lines = []
        for name, field in type(self).model_fields.items():
            value = getattr(self, name)
            setting = f"# {name} =" if value is None else f"{name} = {toml_of(value)}"
            lines.append(f"{setting:<32}  # {field.description}")
        text = "\n".join(lines) + "\n"
        return "".join(map(escaped, text)) if ascii_only else text


def given(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Those that somebody has given: all that are not None."""
    return {name: value for name, value in settings.items() if value is not None}


def _explain(error: ValidationError, known: list[str]) -> str:
    """One sentence for each setting; the alternatives of a union are joined by "or"."""
    reasons: dict[str, list[str]] = {}
    for problem in error.errors():
        name = str(problem["loc"][0])
        if problem["type"] == "extra_forbidden":
            close = get_close_matches(name, known, n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"known: {', '.join(known)}"
            reasons[f"unknown setting {name!r}"] = [hint]
        else:
            reason = problem["msg"].removeprefix("Value error, ").removeprefix("Input should be ")
            reasons.setdefault(f"{name} cannot be {_shown(name, problem['input'])}, expected", []).append(
                reason
            )
    return "; ".join(f"{setting}: {' or '.join(dict.fromkeys(why))}" for setting, why in reasons.items())


def _shown(name: str, value: object) -> str:
    """A value as a message quotes it; not what may hold a database's password, at whatever depth."""
    kinds: dict[type[object], str] = {dict: "a table", list: "a list", tuple: "a list"}
    return "that" if name == "storage" else kinds.get(type(value)) or repr(value)
