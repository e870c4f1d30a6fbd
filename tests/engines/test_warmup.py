import json
from dataclasses import asdict

from nas.engines.warmup import measure_constants
from nas.memory.prediction import MemoryConstants
from tests.memory.measure import blank_images
from tests.memory.networks import SHAPE


def test_on_a_cpu_only_the_numbers_of_an_epoch_lie_beside_a_step() -> None:
    few, many = (measure_constants(blank_images(SHAPE, count)) for count in (100, 1100))
    assert (few.workspace, few.data) == (0, 0)
    assert 1000 * 48 <= many.context - few.context < 1000 * 100
    assert many.evaluation_batch > 0


def test_they_travel_as_json() -> None:
    constants = measure_constants(blank_images(SHAPE, 100))
    assert MemoryConstants(**json.loads(json.dumps(asdict(constants)))) == constants
