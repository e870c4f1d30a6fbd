"""What a person may decide about the final training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from nas.errors import InvalidSetting
from nas.recipe import Recipe, given
from nas.space import DataInfo

LONGER = 2
"""The final training takes so many times the epochs of the search, unless asked otherwise."""


@dataclass(frozen=True, kw_only=True)
class FinalSettings:
    """The flags of `nas train`."""

    epochs: int
    """Of every training."""
    top: int = 3
    """The best trials that are retrained."""
    seeds: int = 3
    """Of each retrained network."""
    ema: float | None = None
    """Decay of an exponential moving average of the weights, which is evaluated and kept. None leaves that to
    the training settings of each trial."""
    compile: bool = False
    """Whether training goes through `torch.compile`."""
    mirror: bool = False
    """Whether the test value is also measured with logits averaged over each image and its mirror image."""

    @classmethod
    def checked(cls, recipe: Recipe, info: DataInfo, device: str, **asked: Any) -> FinalSettings:
        """The settings that somebody asks for; those that are None get their defaults.

        Args:
            recipe: of the search.
            device: that trains.

        Raises:
            InvalidSetting: one cannot have its value, here or at all.
        """
        settings = cls(**{"epochs": LONGER * recipe.epochs} | given(asked))
        for name in ("epochs", "top", "seeds"):
            if getattr(settings, name) < 1:
                raise InvalidSetting(f"{name} cannot be {getattr(settings, name)}: 1 or more.")
        if settings.ema is not None and not 0 < settings.ema < 1:
            raise InvalidSetting(f"ema cannot be {settings.ema}: a decay between 0 and 1, such as 0.999.")
        if settings.mirror and "flip" not in info.augmentations:
            why = f"a mirrored image of {info.name} may be of another class"
            raise InvalidSetting(f"mirror cannot be used: {why}.")
        if settings.compile and not device.startswith("cuda"):
            why = "elsewhere the compiler's own memory would break the memory cap"
            raise InvalidSetting(f"compile needs a CUDA device, not {device}: {why}.")
        return settings
