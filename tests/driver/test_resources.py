"""What every `auto` comes to on a machine."""

import pytest
import torch

from nas.driver.resources import resolve
from nas.errors import DeviceError, InvalidSetting
from nas.machine import allowance, devices
from nas.recipe import Recipe

MIB, GIB = 2**20, 2**30


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch):
    """Pretend that the machine has so many cores and graphics cards."""

    def make(cores: int = 2, cards: int = 0, gigabytes: float = 64, ulimit: int | None = None) -> None:
        monkeypatch.setattr(allowance, "processors", lambda: cores)
        monkeypatch.setattr(allowance, "free_memory", lambda: int(gigabytes * 1e9))
        monkeypatch.setattr(allowance, "free_for_one_process", lambda: ulimit)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: cards)
        monkeypatch.setattr("nas.machine.cards.capability", lambda index: (9, 0))
        monkeypatch.setattr("nas.machine.cards.total_memory", lambda index: 80 * 10**9)
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
        monkeypatch.setattr("nas.machine.cards.free_memory", lambda index: (80 - 30 * index) * 10**9)

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
    found = resolve(Recipe.load(**settings))
    assert (list(found.devices), found.threads, found.precision) == expected


@pytest.mark.parametrize(
    ("hardware", "settings", "cap", "budgets"),
    [
        ({"gigabytes": 10}, {}, 5e9, {"cpu": 9e9}),
        ({"gigabytes": 10}, {"memory_cap": "2GB", "device_memory": "60%"}, 2e9, {"cpu": 6e9}),
        ({"gigabytes": 10, "ulimit": 4 * 10**9}, {}, 2e9, {"cpu": 9e9}),
        ({"gigabytes": 10}, {"device_memory": "2GiB"}, 1288490188, {"cpu": 2 * GIB}),
        ({"gigabytes": 0.2}, {"memory_cap": "100MiB"}, 100 * MIB, {"cpu": (384 + 128 + 125) * MIB}),
        ({"cards": 2}, {}, 45e9, {"cuda:0": 72e9, "cuda:1": 45e9}),
        ({"cards": 2}, {"device": "cuda:0", "memory_cap": "50%"}, 40e9, {"cuda:0": 72e9}),
    ],
    ids=str,
)
def test_cap_and_budgets_are_parts_of_what_is_free(machine, hardware, settings, cap, budgets):
    machine(**hardware)
    found = resolve(Recipe.load(**settings))
    assert (found.memory_cap, dict(found.budgets)) == (cap, budgets)


def test_a_study_keeps_its_cap_and_has_room_for_one_trial_though_less_is_free_now(machine):
    machine(gigabytes=10)
    found = resolve(Recipe.load(memory_cap="80%"), memory_cap=12 * GIB)
    assert (found.memory_cap, found.budgets["cpu"]) == (12 * GIB, 15 * GIB + 512 * MIB)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"memory_cap": "2GiB", "device_memory": "1 GiB"}, "Give --device-memory 3GiB or more."),
        ({"memory_cap": "2GiB", "device_memory": "2GiB"}, "with the process of its worker about 3,072 MiB"),
        ({"workers": 2, "device_memory": "400MiB"}, "Give --device-memory 552MiB or more."),
    ],
    ids=str,
)
def test_a_budget_that_no_trial_may_fit_is_refused_with_one_that_would_do(machine, settings, message):
    machine(gigabytes=10)
    with pytest.raises(InvalidSetting, match=message):
        resolve(Recipe.load(**settings))


def test_a_study_that_goes_on_may_have_a_budget_that_holds_its_smaller_trials_alone(machine):
    machine(gigabytes=10)
    assert resolve(Recipe.load(device_memory="2GiB"), memory_cap=2 * GIB).memory_cap == 2 * GIB
    with pytest.raises(InvalidSetting, match="Give --device-memory 3GiB or more"):
        resolve(Recipe.load(device_memory="2GiB"), memory_cap=3 * GIB)


@pytest.mark.parametrize(
    ("workers", "budget", "expected"),
    [(2, "552MiB", 1), (2, "1104MiB", 2), (8, "1.7GiB", 3), ("auto", "1104MiB", 2)],
)
def test_workers_that_do_not_fit_the_budget_are_not_started_and_it_is_said(
    machine, workers, budget, expected
):
    machine(cores=6)
    found = resolve(Recipe.load(workers=workers, device_memory=budget, trials=30))
    assert (found.workers, found.threads) == (expected, 6 // expected)
    fewer = workers not in ("auto", expected)
    assert (found.note or "").startswith(f"--device-memory has room for {expected} of {workers}") is fewer


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


def test_no_trial_may_use_more_than_a_card_has(machine) -> None:
    machine(cores=16, cards=1)
    with pytest.raises(
        InvalidSetting, match=r"cuda:0 has only 76,294 MiB\. Give --memory-cap 76293MiB or less"
    ):
        resolve(Recipe.load(memory_cap="100GiB"))


def test_a_study_goes_on_and_is_trained_anew_on_a_smaller_card(machine) -> None:
    machine(cores=16, cards=1)
    assert resolve(Recipe.load(), memory_cap=100 * GIB).memory_cap == 100 * GIB


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("", None),
        ("expandable_segments:False,backend:native", None),
        ("pinned_num_register_threads:8", None),
        ("expandable_segments:True", "expandable_segments:True"),
        ("backend:cudaMallocAsync", "backend:cudaMallocAsync"),
        (
            "max_split_size_mb:128,expandable_segments:False,roundup_power2_divisions:[256:1,512:2]",
            "max_split_size_mb:128, roundup_power2_divisions:[256:1,512:2]:",
        ),
    ],
)
@pytest.mark.parametrize("name", ["PYTORCH_ALLOC_CONF", "PYTORCH_CUDA_ALLOC_CONF"])
def test_settings_of_the_allocator_that_predictions_miss_are_told(
    machine, name: str, setting: str, said: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine(cores=16, cards=1)
    monkeypatch.setenv(name, setting)
    note = resolve(Recipe.load()).note
    assert note is None if said is None else note and f"{name} sets {said}" in note
    assert resolve(Recipe.load(device="cpu")).note is None
