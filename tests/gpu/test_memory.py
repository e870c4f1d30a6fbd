"""Memory on a real card: predictions come true, limits hold, and what runs out is recovered from.

pytest -m gpu tests/gpu
"""

import pytest
import torch

from nas.engines.limits import is_out_of_memory, limited, release
from nas.engines.warmup import measure_constants
from nas.memory.allocator import LARGE, MIB
from nas.memory.prediction import predict, smallest_cap
from nas.memory.program import BatchSizes
from nas.memory.trace import Precision, trace_training
from tests.memory.card_networks import BATCH, NETWORKS, SHAPE
from tests.memory.measure import STEPS, blank_images, train_a_little
from tests.memory.networks import settings

if not torch.cuda.is_available():
    pytest.skip("there is no graphics card", allow_module_level=True)

pytestmark = pytest.mark.gpu
SEGMENT = 2 * MIB


@pytest.fixture(scope="module")
def images():
    return blank_images(SHAPE, STEPS * BATCH, "cuda")


@pytest.fixture(scope="module")
def constants(images):
    return measure_constants(images)


def test_the_warm_up_leaves_a_workspace_for_each_of_two_threads(constants) -> None:
    large = [size for size in constants.workspace if size > MIB]
    assert len(large) == 2
    assert large[0] == large[1]


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("name", NETWORKS)
def test_a_training_takes_what_is_predicted(images, constants, name: str, precision: Precision) -> None:
    """To 5 % or 4 MiB: cuDNN's workspaces are left to the calibration."""
    program = trace_training(NETWORKS[name](), SHAPE, settings(BATCH), precision=precision, kernels="cuda")
    memory = predict(program, BatchSizes(BATCH, evaluation=1), "cuda", constants)
    release(images.device)
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_stats()["requested_bytes.all.current"]
    train_a_little(NETWORKS[name](), images, settings(BATCH), precision=precision)
    asked_for = torch.cuda.memory_stats()["requested_bytes.all.peak"] - before
    assert abs(memory.allocated - asked_for) <= max(4 * MIB, 0.05 * asked_for)


@pytest.mark.parametrize("size", [SEGMENT * count for count in (10, 97, 513)])
def test_a_limit_allows_all_of_itself_and_no_more(images, constants, size: int) -> None:
    release(images.device)
    held = torch.cuda.memory_reserved()
    with limited(images.device, held + size + constants.context, constants.context):
        block = torch.empty(size, dtype=torch.uint8, device="cuda")
        with pytest.raises(torch.OutOfMemoryError):
            torch.empty(LARGE, dtype=torch.uint8, device="cuda")  # which no segment has free
        del block
    release(images.device)
    assert torch.empty(size + SEGMENT, dtype=torch.uint8, device="cuda").numel() == size + SEGMENT


def test_a_trial_that_runs_out_of_memory_leaves_none_behind(images, constants) -> None:
    build = NETWORKS["bias of a convolution"]
    program = trace_training(build(), SHAPE, settings(BATCH), kernels="cuda")
    enough = smallest_cap(program, BatchSizes(BATCH, evaluation=1), "cuda", constants)
    release(images.device)
    before = torch.cuda.memory_allocated()
    for _ in range(3):
        failed = None
        try:
            with limited(images.device, enough // 2 + constants.context // 2, constants.context):
                train_a_little(build(), images, settings(BATCH))
        except Exception as error:
            failed = is_out_of_memory(error)
        release(images.device)
        assert failed
        assert torch.cuda.memory_allocated() == before
    train_a_little(build(), images, settings(BATCH))
