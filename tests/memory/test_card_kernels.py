"""What CUDA's kernels take and keep that a processor's do not."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from nas.memory.program import BatchSizes
from nas.memory.reduction import THREADS, Reduction
from nas.memory.trace import Precision, trace_training
from tests.memory.card_networks import ASKED_FOR, BATCH, NETWORKS, SHAPE
from tests.memory.networks import settings
from tests.stub_driver.build import NotBuilt, build

H100 = 132 * 2048


@pytest.mark.parametrize(("name", "precision"), ASKED_FOR)
def test_training_asks_for_what_torch_counts_on_a_card(name: str, precision: Precision) -> None:
    program = trace_training(
        NETWORKS[name](), SHAPE, settings(BATCH), precision=precision, kernels="cuda", images=BATCH
    )
    predicted = program.peak(BatchSizes(BATCH)).allocated
    assert predicted == pytest.approx(ASKED_FOR[name, precision], rel=0.003)


@pytest.mark.parametrize("threads", [THREADS, H100])
@pytest.mark.parametrize(
    ("rows", "scratch"), [(512, 0), (1024, 8_388_608), (2048, 16_777_216), (4096, 33_554_432)]
)
def test_the_gradient_of_1024_biases_takes_what_recordings_of_cards_show(
    rows: int, scratch: int, threads: int
) -> None:
    assert Reduction(inputs=rows, outputs=1024, along=False, lanes=4).scratch(threads) == scratch


@pytest.mark.parametrize(("batch_size", "some"), [(8, False), (100, True)])
def test_scratch_follows_its_rule_at_every_batch_size(batch_size: int, some: bool) -> None:
    """It is none for a few images, and then grows otherwise than they do."""
    network = NETWORKS["bias of a convolution"]()
    at_once = trace_training(network, SHAPE, settings(1), kernels="cuda")
    alone = trace_training(network, SHAPE, settings(1), kernels="cuda", images=batch_size)
    sizes = (
        {block: program.sizes(BatchSizes(batch_size))[block] for block in program.trace.reductions}
        for program in (at_once, alone)
    )
    of_any, of_this = sizes
    assert {block: of_any[block] for block in of_this} == of_this
    assert bool(max(of_this.values())) is some


@pytest.mark.slow
@pytest.mark.skipif("NAS_STUB_DRIVER" not in os.environ, reason="NAS_STUB_DRIVER=1 asks for it")
@pytest.mark.usefixtures("real_start")
def test_the_bytes_in_the_table_are_torchs_own(tmp_path: Path) -> None:
    try:
        environment = build(tmp_path)
    except NotBuilt as error:
        pytest.skip(str(error))
    command = [sys.executable, "-m", "tests.memory.card_networks"]
    done = subprocess.run(
        command, env=os.environ | environment, stdout=subprocess.PIPE, text=True, check=True
    )
    counted = {(name, precision): size for name, precision, size in json.loads(done.stdout)}
    assert counted == pytest.approx(ASKED_FOR, rel=0.001)
