"""A look at a network of a user's space before it is trained, so that no hours are spent on a broken one."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import torch
from optuna.trial import FixedTrial
from torch import nn

from nas.errors import BrokenFile, NasError
from nas.memory.plan import build_without_memory
from nas.memory.program import Untraceable
from nas.memory.trace import trace_training
from nas.space import DataInfo
from nas.space.load import Space
from nas.space.user_code import at_work
from nas.training.logits import WrongLogits, check_logits


def check_first(space: Space, params: Mapping[str, Any], info: DataInfo) -> None:
    """Follow a training step of the network that `params` propose, without memory where that can be.

    Raises:
        BrokenFile: it cannot be built, its forward fails, or it does not give (batch, classes).
    """
    proposal = space.suggest(FixedTrial(dict(params)), info)
    build = partial(space.build, proposal, info)
    network = build_without_memory(build)
    try:
        with at_work():
            trace_training(network, info.shape, proposal.training, classes=info.num_classes, bits=info.bits)
        if all(parameter.dtype == torch.float32 for parameter in network.parameters()):
            return  # tensors without bytes bear any mixture of kinds
        run_once(build(), space, info)
    except WrongLogits as error:
        raise BrokenFile(f"{space.file}: {error}") from error
    except NasError as error:
        if not isinstance(error, Untraceable):
            raise
        run_once(build(), space, info)
    except KeyboardInterrupt:
        raise
    except BaseException:  # on tensors without bytes; real ones tell
        run_once(build(), space, info)


def run_once(network: nn.Module, space: Space, info: DataInfo) -> None:
    """Evaluate a network on the processor, on two black images; nothing of it is changed.

    Raises:
        BrokenFile: its forward fails, or it does not give (batch, classes).
    """
    images = torch.zeros(2, *info.shape)
    training = network.training
    try:
        with at_work(), torch.no_grad():
            check_logits(network.eval()(images), len(images), info.num_classes)
    except WrongLogits as error:
        raise BrokenFile(f"{space.file}: {error}") from error
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        kinds = {each.dtype for each in network.parameters()} - {images.dtype}
        of_another_kind = "".join(
            f" Its weights are {kind} where images are {images.dtype}: does it call torch.set_default_dtype?"
            for kind in sorted(map(str, kinds))
        )
        raise BrokenFile(f"{space.blamed(error)}{of_another_kind}") from error
    network.train(training)
