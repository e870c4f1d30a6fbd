import json

import pytest

from nas.memory.calibration import Calibration

MIB = 2**20


def calibrated(*ratios: float, device: str = "cpu") -> Calibration:
    calibration = Calibration.for_device(device)
    for ratio in ratios:
        calibration.add(100 * MIB, round(ratio * 100 * MIB))
    return calibration


def test_a_card_starts_with_a_margin_and_a_cpu_without() -> None:
    assert Calibration.for_device("cpu").factor == 1
    assert Calibration.for_device("NVIDIA A100-SXM4-40GB").factor > 1


@pytest.mark.parametrize(
    ("ratios", "factor"),
    [
        ([1.1], 1.1),
        ([0.9], 1.0),
        ([1.1, 1.3, 1.0], 1.3),
        ([1.5] + [1.1] * 18, 1.5),
        ([1.5] + [1.1] * 30, 1.1),
        ([1.5] * 3 + [1.1] * 30, 1.5),
        ([0.9] * 30, 0.9),
        ([1.5] * 50 + [1.05] * 400, 1.05),
    ],
    ids=["more", "less", "few", "one of 19", "one of 31", "three of 33", "always less", "long ago"],
)
def test_the_factor_is_a_high_quantile_of_what_was_measured(ratios: list[float], factor: float) -> None:
    assert calibrated(*ratios).factor == pytest.approx(factor)


@pytest.mark.parametrize("known", [0, 1, 10, 200, 1000])
def test_running_out_of_memory_raises_the_very_next_prediction(known: int) -> None:
    calibration = calibrated(*[1.02] * known)
    before = calibration.factor
    calibration.out_of_memory()
    assert calibration.factor >= 1.4 * before


def test_many_trials_that_fit_outweigh_one_that_did_not() -> None:
    calibration = calibrated(*[1.0] * 30)
    calibration.out_of_memory()
    for _ in range(200):
        calibration.add(100, 100)
    assert calibration.factor == 1


def test_running_out_of_memory_again_and_again_ends_somewhere() -> None:
    calibration = calibrated()
    for _ in range(100):
        calibration.out_of_memory()
    assert calibration.factor == 4


@pytest.mark.parametrize("ratios", [[], [1.25, 1.5], [1.5] * 300])
def test_it_is_kept_as_json(ratios: list[float]) -> None:
    calibration = calibrated(*ratios, device="a card")
    kept = Calibration.from_json(json.loads(json.dumps(calibration.to_json())))
    for each in (calibration, kept):
        each.add(100, 120)
    assert kept.factor == calibration.factor
    assert kept.to_json() == calibration.to_json()


@pytest.mark.parametrize(
    ("start", "factor"),
    [(1.0, 3.0), (1.15, 1.15)],
    ids=["a processor holds nothing for good", "what a card holds for good was multiplied too"],
)
def test_of_what_an_older_version_stored_only_what_still_holds_is_taken(start: float, factor: float) -> None:
    kept = Calibration.from_json({"start": start, "ratios": [1.2, 3.0]})
    assert kept.factor == factor
