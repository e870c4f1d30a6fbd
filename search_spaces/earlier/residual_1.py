"""Version 1 of `search_spaces.residual`."""

from typing import cast

from optuna.trial import BaseTrial

from nas.space import DataInfo, Proposal
from search_spaces.residual import DOWNSAMPLINGS, Downsampling, ResidualNetwork, stages_for, stem_halvings
from search_spaces.shared.blocks import BLOCK_KINDS, BlockKind
from search_spaces.shared.initialisation import ALL_INITIALISATIONS, Initialisation
from search_spaces.shared.pyramid import suggest_pyramid
from search_spaces.shared.tenths import suggest_tenths
from search_spaces.shared.training import suggest_wide_training

VERSION = 1


def suggest(trial: BaseTrial, data: DataInfo) -> Proposal:
    """Propose a network.

    Raises:
        ValueError: the images are smaller than 4x4 pixels.
    """
    stages = trial.suggest_int("stages", *stages_for(data))
    blocks_per_stage = trial.suggest_int("blocks_per_stage", 1, 4)
    widths = [2 ** trial.suggest_int("log2_width", 4, 6)]
    for stage in range(2, stages + 1):
        widths.append(widths[-1] << trial.suggest_int(f"doubling_{stage}", 0, 1))
    block = cast(BlockKind, trial.suggest_categorical("block", BLOCK_KINDS))
    reduction = trial.suggest_categorical("reduction", [4, 2]) if block == "bottleneck" else None
    separable = trial.suggest_categorical("separable", [True, False])
    squeeze_excitation = trial.suggest_categorical("squeeze_excitation", [False, True])
    downsampling = trial.suggest_categorical("downsampling", DOWNSAMPLINGS) if stages > 1 else None
    pyramid = trial.suggest_categorical("head", ["average", "pyramid"]) == "pyramid"
    architecture = ResidualNetwork(
        stem_kernel=trial.suggest_int("stem_kernel", 3, 7, step=2),
        stem_halvings=stem_halvings(data),
        widths=tuple(widths),
        blocks_per_stage=blocks_per_stage,
        block=block,
        reduction=reduction,
        separable=separable,
        squeeze_excitation=squeeze_excitation,
        downsampling=cast(Downsampling | None, downsampling),
        fc_units=suggest_pyramid(trial, max_layers=3, log2_units=(5, 9)) if pyramid else (),
        dropout=suggest_tenths(trial, "dropout", 0.5),
        initialisation=cast(Initialisation, trial.suggest_categorical("initialisation", ALL_INITIALISATIONS)),
    )
    return Proposal(architecture, suggest_wide_training(trial, data))
