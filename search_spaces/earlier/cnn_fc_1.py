"""Version 1 of `search_spaces.cnn_fc`."""

from typing import cast

from optuna.trial import BaseTrial

from nas.space import DataInfo, Proposal
from search_spaces.cnn_fc import DOWNSAMPLINGS, CnnFc, Downsampling, stages_for, suggest_filters
from search_spaces.shared.initialisation import INITIALISATIONS, Initialisation
from search_spaces.shared.pyramid import suggest_pyramid
from search_spaces.shared.tenths import suggest_tenths
from search_spaces.shared.training import suggest_training

VERSION = 1


def suggest(trial: BaseTrial, data: DataInfo) -> Proposal:
    """Propose a network.

    Raises:
        ValueError: the images are smaller than 4x4 pixels.
    """
    stages = trial.suggest_int("conv_stages", *stages_for(data))
    convs_per_stage = trial.suggest_int("convs_per_stage", 1, 3)
    filters = suggest_filters(trial, stages)
    architecture = CnnFc(
        filters=filters,
        convs_per_stage=convs_per_stage,
        kernel_size=trial.suggest_int("kernel_size", 3, 5, step=2),
        downsampling=cast(Downsampling, trial.suggest_categorical("downsampling", DOWNSAMPLINGS)),
        batch_norm=trial.suggest_categorical("batch_norm", [False, True]),
        bottleneck=_suggest_bottleneck(trial, filters[-1]),
        fc_units=suggest_pyramid(trial, max_layers=3, log2_units=(5, 9)),
        dropout=suggest_tenths(trial, "dropout", 0.5),
        initialisation=cast(Initialisation, trial.suggest_categorical("initialisation", INITIALISATIONS)),
    )
    return Proposal(architecture, suggest_training(trial, data))


def _suggest_bottleneck(trial: BaseTrial, filters: int) -> int | None:
    """A width below that of the last convolution, or none."""
    if not trial.suggest_categorical("bottleneck", [False, True]):
        return None
    width: int = 2 ** trial.suggest_int("log2_bottleneck", 3, 6)
    return width if width < filters else None
