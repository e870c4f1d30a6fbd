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
        monkeypatch.setattr(devices, "_free_on_card", lambda index: (80 - 30 * index) * 10**9)
        monkeypatch.setattr(devices, "_left_in_container", lambda: 2**63)

    return make


@pytest.mark.parametrize(
    ("hardware", "settings", "expected"),
    [
        ({"cores": 2}, {}, (["cpu"] * 2, 1, "fp32")),
        ({"cores": 2}, {"workers": 1}, (["cpu"], 2, "fp32")),
        ({"cores": 2}, {"trials": 1}, (["cpu"], 1, "fp32")),
        ({"cores": 32}, {}, (["cpu"] * 8, 4, "fp32")),
        ({"cores": 32, "gigabytes": 4}, {}, (["cpu"] * 2, 16, "fp32")),
        ({"cores": 32, "gigabytes": 1}, {"trials": 30}, (["cpu"], 32, "fp32")),
        ({"cores": 16, "cards": 1}, {}, (["cuda:0"] * 4, 4, "bf16")),
        ({"cores": 16, "cards": 2}, {"workers": 3}, (["cuda:0", "cuda:1", "cuda:0"], 5, "bf16")),
        ({"cores": 2, "cards": 2}, {}, (["cuda:0", "cuda:1"], 1, "bf16")),
        ({"cores": 16, "cards": 2}, {"device": "cuda:1", "precision": "fp32"}, (["cuda:1"] * 4, 4, "fp32")),
        ({"cores": 16, "cards": 2}, {"device": "cpu", "threads": 3}, (["cpu"] * 8, 3, "fp32")),
    ],
    ids=str,
)
def test_auto_means(machine, hardware, settings, expected):
    machine(**hardware)
    found = devices.resolve(Recipe.load(**settings))
    assert (list(found.devices), found.threads, found.precision) == expected


@pytest.mark.parametrize(
    ("hardware", "settings", "cap", "budgets"),
    [
        ({"gigabytes": 10}, {}, 5e9, {"cpu": 9e9}),
        ({"gigabytes": 10}, {"memory_cap": "2GB", "device_memory": "60%"}, 2e9, {"cpu": 6e9}),
        ({"gigabytes": 10}, {"device_memory": "2GB"}, 2e9, {"cpu": 2e9}),
        ({"cards": 2}, {}, 45e9, {"cuda:0": 72e9, "cuda:1": 45e9}),
        ({"cards": 2}, {"device": "cuda:0", "memory_cap": "50%"}, 40e9, {"cuda:0": 72e9}),
    ],
    ids=str,
)
def test_cap_and_budgets_are_parts_of_what_is_free(machine, hardware, settings, cap, budgets):
    machine(**hardware)
    found = devices.resolve(Recipe.load(**settings))
    assert (found.memory_cap, dict(found.budgets)) == (cap, budgets)


def test_a_study_keeps_its_cap_and_has_room_for_one_trial_though_less_is_free_now(machine):
    machine(gigabytes=10)
    found = devices.resolve(Recipe.load(memory_cap="80%"), memory_cap=int(12e9))
    assert (found.memory_cap, found.budgets["cpu"]) == (12e9, 12e9)


def test_a_budget_that_no_trial_may_fit_is_refused(machine):
    machine(gigabytes=10)
    with pytest.raises(InvalidSetting, match="--device-memory 1GiB"):
        devices.resolve(Recipe.load(memory_cap="2GiB", device_memory="1 GiB"))


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
