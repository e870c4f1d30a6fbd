"""An exported model.py, run in a process that can import nothing of ours, and held against the original."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from safetensors.torch import save_file

from nas.errors import NasError
from nas.exporters.parts.trained import TrainedModel

IMAGES = 8

ABSENT = ("nas", "search_spaces", "optuna", "safetensors", "numpy")

PROGRAM = f"""
import sys

for name in {ABSENT}:
    sys.modules[name] = None  # importing it fails
sys.path.insert(0, ".")

import torch
from model import load, read_safetensors

expected, threads = sys.argv[1:]
torch.set_num_threads(int(threads))
tensors = read_safetensors(expected)
with torch.inference_mode():
    print((load()(tensors["images"]) - tensors["logits"]).abs().max().item())
"""


def difference(trained: TrainedModel, folder: Path) -> float:
    """The largest absolute difference of a logit, on random images that are always the same.

    Raises:
        NasError: model.py fails.
    """
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(IMAGES, *trained.input_shape, generator=generator)
    with torch.inference_mode():
        logits = trained.model(images)
    with TemporaryDirectory() as temporary:
        expected = Path(temporary, "expected.safetensors")
        save_file({"images": images, "logits": logits.contiguous()}, expected)
        # without -B, Python would leave its bytecode in the export
        command = [sys.executable, "-B", "-c", PROGRAM, str(expected), str(torch.get_num_threads())]
        run = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    if run.returncode:
        reason = (run.stderr.strip().splitlines() or [f"exit code {run.returncode}"])[-1]
        raise NasError(f"The exported model.py does not run: {reason}. Nothing was exported.")
    return float(run.stdout)
