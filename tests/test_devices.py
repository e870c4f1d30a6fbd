"""What every `auto` comes to on a machine."""

import pytest
import torch

from nas import devices
from nas.errors import DeviceError, InvalidSetting
from nas.recipe import Recipe


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch):
    """Pretend that the machine has so many cores and graphics cards."""

    def make(cores: int = 2, cards: int = 0, gigabytes: int = 64) -> None:
        monkeypatch.setattr(devices, "_cores", lambda: cores)
        monkeypatch.setattr(
            devices.psutil, "virtual_memory", lambda: type("M", (), {"available": gigabytes * 1e9})
        )
        monkeypatch.setattr(torch.cuda, "device_count", lambda: cards)
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (9, 0))
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)

    return make


@pytest.mark.parametrize(
    ("hardware", "settings", "expected"),
    [
        ({"cores": 2}, {}, ("cpu", 2, 1, "fp32")),
        ({"cores": 2}, {"workers": 1}, ("cpu", 1, 2, "fp32")),
        ({"cores": 2}, {"trials": 1}, ("cpu", 1, 1, "fp32")),
        ({"cores": 32}, {}, ("cpu", 8, 4, "fp32")),
        ({"cores": 32, "gigabytes": 4}, {}, ("cpu", 2, 16, "fp32")),
        ({"cores": 32, "gigabytes": 1}, {"trials": 30}, ("cpu", 1, 32, "fp32")),
        ({"cores": 16, "cards": 2}, {}, ("cuda:0", 1, 16, "bf16")),
        ({"cores": 16, "cards": 2}, {"device": "cuda:1", "precision": "fp32"}, ("cuda:1", 1, 16, "fp32")),
        ({"cores": 16, "cards": 2}, {"device": "cpu", "threads": 3}, ("cpu", 8, 3, "fp32")),
    ],
    ids=str,
)
def test_auto_means(machine, hardware, settings, expected):
    machine(**hardware)
    found = devices.resolve(Recipe.load(**settings))
    assert (found.device, found.workers, found.threads, found.precision) == expected


@pytest.mark.parametrize("name", ["gpu", "cuda:", "cuda:x", "cuda:0:1", "CPU", ""])
def test_a_name_of_no_device_is_refused(machine, name):
    machine(cards=1)
    with pytest.raises(InvalidSetting, match="No device is called"):
        devices.resolve_device(name)


@pytest.mark.parametrize("name", ["cuda:1", "mps"])
def test_a_device_that_is_not_there_is_refused_with_those_that_are(machine, name):
    machine(cards=1)
    with pytest.raises(DeviceError, match="It has: cpu, cuda:0"):
        devices.resolve_device(name)
