"""The devices of this machine, and how much of their memory is free.

No CUDA context is created here; workers do that.
"""

import torch

from nas.errors import DeviceError, InvalidSetting
from nas.machine import allowance, cards


def free_memory(device: str) -> int:
    """Bytes that new processes may take, of the memory that other programs leave."""
    if device.startswith("cuda"):
        return cards.free_memory(int(device.split(":")[1]))
    if device == "mps":
        return min(torch.mps.recommended_max_memory(), allowance.free_memory())
    return allowance.free_memory()


def resolve_devices(name: str) -> tuple[str, ...]:
    """The devices that a name means: every card for auto and cuda.

    Raises:
        InvalidSetting: no device is called so.
        DeviceError: this machine does not have it.
    """
    found = tuple(f"cuda:{index}" for index in range(torch.cuda.device_count()))
    if found and name in ("auto", "cuda"):
        return found
    return (resolve_device(name),)


def resolve_device(name: str) -> str:
    """`name` with auto and a bare cuda made exact.

    Raises:
        InvalidSetting: no device is called so.
        DeviceError: this machine does not have it.
    """
    count = torch.cuda.device_count()
    has_mps = torch.backends.mps.is_available()
    present = ["cpu", *(f"cuda:{index}" for index in range(count)), *(["mps"] if has_mps else [])]
    match name.split(":"):
        case ["auto"]:
            return "cuda:0" if count else "mps" if has_mps else "cpu"
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


def total_memory(device: str) -> int | None:
    """Bytes of a graphics card; None of other devices, whose memory programs share."""
    return cards.total_memory(int(device.split(":")[1])) if device.startswith("cuda") else None


def has_bf16(device: str) -> bool:
    """Whether a card has bf16 in hardware: tensor cores of compute capability 8.0 (Ampere) and above do."""
    return cards.capability(int(device.split(":")[1])) >= (8, 0)
