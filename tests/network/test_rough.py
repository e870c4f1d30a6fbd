"""Work told from the layers alone lies near what tracing a step counts."""

import pytest

from nas.network.inspection import inspect_training
from nas.network.layers import layer_table
from nas.network.rough import rough_epoch
from nas.seconds.rates import reference, seconds_of
from nas.space.load import load_space
from nas.space.parameters import at_random
from tests.conftest import DIGITS


@pytest.mark.parametrize(("place", "precision"), [(0, "fp32"), (-1, "fp32"), (0, "bf16")])
def test_rough_work_takes_about_as_long_as_what_is_traced(place, precision):
    space = load_space("cnn_fc")
    (proposal,) = at_random(space, DIGITS, [space.starts(DIGITS)[place]])
    network, training, rates = space.build(proposal, DIGITS), proposal.training, reference("cpu")
    rough = rough_epoch(layer_table(network, DIGITS.shape), training.batch_size, DIGITS, precision)
    traced = inspect_training(network, DIGITS.shape, training, precision=precision, device="cpu").work.epoch(
        steps=DIGITS.num_train // training.batch_size,
        accumulation=1,
        evaluations=-(-DIGITS.num_val // training.batch_size),
    )
    assert seconds_of(rough, rates) == pytest.approx(seconds_of(traced, rates), rel=0.3)
