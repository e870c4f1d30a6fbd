"""Where to begin in a search space whose author says nothing: near its middle, and cheap."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

from optuna.trial import FixedTrial

from nas.errors import BrokenFile, NasError
from nas.memory.plan import build_without_memory
from nas.network.layers import layer_table
from nas.space import DataInfo, Proposal
from nas.space.load import Space
from nas.space.parameters import in_the_middle
from nas.space.user_code import at_work

CANDIDATES = 8
CHOSEN = 2


def cheap_in_the_middle(space: Space, data: DataInfo) -> list[dict[str, Any]]:
    """The parameters of two proposals near the middle of all ranges, cheapest first: those with the fewest
    multiply-adds of a few. The same ones every time; one, where the space has no more.

    Raises:
        BrokenFile: the search space's own code failed, and built none of them.
    """
    costs: list[tuple[float, int, dict[str, Any]]] = []
    broken: list[BrokenFile] = []
    for params, proposal in in_the_middle(space, data, CANDIDATES):
        try:
            costs.append((multiply_adds(space, proposal, data), len(costs), params))
        except BrokenFile as error:
            broken.append(error)
    if not costs:
        raise broken[0]
    return [params for *_, params in sorted(costs)[:CHOSEN]]


def first_proposals(space: Space, data: DataInfo) -> list[tuple[Proposal, float | None]]:
    """What a study trains first, if its user names nothing else, with multiply-adds for one image; None where
    these cannot be counted without running the network.

    Raises:
        NasError: the space cannot be used on this data, or its code failed.
    """
    found = []
    for params in space.starts(data) or cheap_in_the_middle(space, data):
        proposal = space.suggest(FixedTrial(params), data)
        cost = multiply_adds(space, proposal, data)
        found.append((proposal, cost if math.isfinite(cost) else None))
    return found


def multiply_adds(space: Space, proposal: Proposal, data: DataInfo) -> float:
    """For one image; infinite where they cannot be counted without running the network.

    Raises:
        BrokenFile: it cannot be built.
    """
    network = build_without_memory(partial(space.build, proposal, data))
    try:
        with at_work():
            return layer_table(network, data.shape).multiply_adds
    except (KeyboardInterrupt, NasError):
        raise
    except BaseException:  # on tensors without bytes; `nas.network.check` runs the first one on real ones
        return math.inf
