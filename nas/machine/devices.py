"""The devices of this machine, and how much of their memory is free.

No CUDA context is created here; workers do that.
"""

import torch

from nas.errors import DeviceError, InvalidSetting
from nas.machine import allowance


def free_memory(device: str) -> int:
    """Bytes that new processes may take, of the memory that other programs leave."""
    if device.startswith("cuda"):
        return _free_on_card(int(device.split(":")[1]))
    if device == "mps":
        return min(torch.mps.recommended_max_memory(), allowance.free_memory())
    return allowance.free_memory()


def resolve_devices(name: str) -> tuple[str, ...]:
    """The devices that a name means: every card for auto and cuda.

    Raises:
        InvalidSetting: no device is called so.
        DeviceError: this machine does not have it.
    """
    cards = tuple(f"cuda:{index}" for index in range(torch.cuda.device_count()))
    if cards and name in ("auto", "cuda"):
        return cards
    return (resolve_device(name),)


def resolve_device(name: str) -> str:
    """`name` with auto and a bare cuda made exact.

    Raises:
        InvalidSetting: no device is called so.
        DeviceError: this machine does not have it.
    """
    cards = torch.cuda.device_count()
    has_mps = torch.backends.mps.is_available()
    present = ["cpu", *(f"cuda:{index}" for index in range(cards)), *(["mps"] if has_mps else [])]
    match name.split(":"):
        case ["auto"]:
            return "cuda:0" if cards else "mps" if has_mps else "cpu"
        case ["cpu"]:
            return "cpu"
        case ["mps"]:
            exact = "mps"
        case ["cuda"]:
            exact = "cuda:0"
        case ["cuda", index] if index.isdecimal():
            exact = f"cuda:{int(index)}"
        case _:
            raise InvalidSetting(f"No device is called {name!r}. Write auto, cpu, cuda, cuda:<i> or mps.")
    if exact not in present:
        raise DeviceError(f"This machine has no device {name!r}. It has: {', '.join(present)}.")
    return exact


def _free_on_card(index: int) -> int:
    """As the driver's management library says: it makes no CUDA context, as torch would."""
    import pynvml

    properties = torch.cuda.get_device_properties(index)
    try:
        pynvml.nvmlInit()
        try:
            handle = pynvml.nvmlDeviceGetHandleByUUID(f"GPU-{properties.uuid}")
            return int(pynvml.nvmlDeviceGetMemoryInfo(handle).free)
        finally:
            pynvml.nvmlShutdown()
    except pynvml.NVMLError:  # a card that it does not know, such as a part of one
        return int(properties.total_memory)


def has_bf16(device: str) -> bool:
    """Whether a card has bf16 in hardware: tensor cores of compute capability 8.0 (Ampere) and above do."""
    return torch.cuda.get_device_capability(device) >= (8, 0)
