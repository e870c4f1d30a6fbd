"""Tests for a card, on a driver that has none: limits, counts and recovery are torch's own there."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.stub_driver.build import NotBuilt, build


@pytest.mark.slow
@pytest.mark.skipif(
    "NAS_STUB_DRIVER" not in os.environ,
    reason="NAS_STUB_DRIVER=1 asks for it: where nothing is computed, sizes may be chance, up to all memory",
)
@pytest.mark.timeout(1200)
@pytest.mark.usefixtures("real_start")
def test_what_is_tested_on_a_card_holds_for_torchs_own_account(tmp_path: Path) -> None:
    try:
        environment = build(tmp_path)
    except NotBuilt as error:
        pytest.skip(str(error))
    command = [sys.executable, "-m", "pytest", "-q", "-n0", "-m", "gpu", "tests/gpu"]
    done = subprocess.run(command, env=os.environ | environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    assert "skipped" not in done.stdout
