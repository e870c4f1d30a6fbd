"""Builds a CUDA driver, runtime, cuBLAS and cuDNN without a device, for the torch that is installed.

`runtime.c` and `cudnn.c` hold what torch asks for an answer to; every other function that it links with
succeeds and does nothing. The environment says which card it is: MOCK_SM=90 for a Hopper, MOCK_TOTAL for its
bytes, MOCK_CONV_WS for those of every workspace of cuDNN.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
RUNNING = "STUBBED_CUDA"
LINKED = r"(cuda[A-Z]|__cuda|cublas|cudnn|cusparse|cusolver|nccl)\w*"
DRIVER = """
int cuDevicePrimaryCtxGetState(int d, unsigned *f, int *a) { if (f) *f = 0; if (a) *a = 1; return 0; }
int cuDeviceGet(int *d, int o) { *d = o; return 0; }
int cuCtxGetCurrent(void **c) { *c = (void *)16; return 0; }
int cuGetErrorString(int e, const char **s) { *s = "stub"; return 0; }
int cuPointerGetAttribute(void *d, int a, void *p) { *(int *)d = 0; return 0; }
"""


class NotBuilt(Exception):
    """The stub cannot be made here; `str` says why."""


def run_with_stub() -> None:
    """Begin this program again, so that torch sees a card. Returns in the process that does.

    Raises:
        NotBuilt: what it takes is not there.
    """
    if os.environ.get(RUNNING):
        return
    folder = Path(tempfile.mkdtemp(prefix="stub-driver-"))
    module = sys.modules["__main__"].__spec__
    assert module
    command = [sys.executable, "-m", module.name, *sys.argv[1:]]
    try:
        code = subprocess.run(command, env=os.environ | build(folder)).returncode
    finally:
        shutil.rmtree(folder)
    sys.exit(code)


def build(folder: Path) -> dict[str, str]:
    """Build into a folder; returns the environment in which a new process of this Python has the card.

    Raises:
        NotBuilt: gcc or torch's CUDA wheel is missing.
    """
    import torch

    site = Path(torch.__file__).parents[1]
    if not shutil.which("gcc") or not shutil.which("nm"):
        raise NotBuilt("it takes gcc and nm, which are not here")
    headers = sorted(site.glob("nvidia/cu1*/include")) + sorted(site.glob("nvidia/cuda_runtime/include"))
    if torch.version.cuda is None or not headers:
        raise NotBuilt("it takes torch's CUDA wheel, and this one is for processors")
    include = [f"-I{HERE / 'declarations'}", f"-I{headers[0]}", f"-I{site / 'nvidia/cudnn/include'}"]
    sources = [HERE / "runtime.c", HERE / "cudnn.c"]
    stub = folder / "libstub.so"
    compile_ = ["gcc", "-shared", "-fPIC", "-O1", "-w", *include, "-o", stub]
    _run(*compile_, *sources, "-lpthread")
    libraries = [site / f"torch/lib/lib{name}.so" for name in ("c10_cuda", "torch_cuda", "torch_python")]
    libraries += sorted(site.glob("torch/lib/libtorch_cuda_linalg.so"))
    libraries += sorted(site.glob("torch/lib/libtorch_nvshmem.so"))
    wanted = {name for each in libraries for name in _symbols("--undefined-only", each)}
    missing = {name for name in wanted if re.fullmatch(LINKED, name)} - _symbols("--defined-only", stub)
    rest = folder / "rest.c"
    rest.write_text("".join(f"long {name}() {{ return 0; }}\n" for name in sorted(missing)))
    _run(*compile_, *sources, rest, "-lpthread")
    asked = _symbols("--undefined-only", site / "torch/lib/libcaffe2_nvrtc.so")
    silent = {name for name in asked if re.match("cu[A-Z]", name) and f"{name}(" not in DRIVER}
    driver = folder / "driver.c"
    driver.write_text(DRIVER + "".join(f"int {name}() {{ return 0; }}\n" for name in sorted(silent)))
    soname = "libcuda.so.1"
    _run("gcc", "-shared", "-fPIC", "-w", driver, "-o", folder / soname, f"-Wl,-soname,{soname}")
    return {"LD_LIBRARY_PATH": str(folder), "LD_PRELOAD": str(stub), RUNNING: "1"}


def _symbols(which: str, library: Path) -> set[str]:
    lines = _run("nm", "-D", which, library).splitlines()
    return {line.split()[-1].split("@")[0] for line in lines if line.strip()}


def _run(*command: str | Path) -> str:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise NotBuilt(f"{command[0]} failed: {done.stderr.strip()}")
    return done.stdout
