"""The contract in the default run: every space meets images of one size, and images of every size a space.

What does not take long meets the usual size too. All the rest is slow.
"""

import pytest

LONG = ("memory_of_training", "small_network_that_trains", "random_proposals_train")

MEASURED = ("cnn_fc", "residual", "cnn_bottleneck", "_new_space")
"""Spaces whose memory is measured: every kind of layer is in one of them."""

USUAL = "1x28x28"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    contract = [item for item in items if _case(item)]
    spaces = list(dict.fromkeys(_case(item)["space"] for item in contract))
    for fixture in ("data", "small_data"):
        cases = [(item, _case(item)) for item in contract if fixture in _case(item)]
        sizes = list(dict.fromkeys(case[fixture] for _, case in cases))
        for item, case in cases:
            met = sizes.index(case[fixture]) == (spaces.index(case["space"]) + len(sizes) // 3) % len(sizes)
            long = any(name in item.name for name in LONG)
            measured = fixture == "data" or case["space"] in MEASURED
            if not measured or (not met and (long or case[fixture] != USUAL)):
                item.add_marker(pytest.mark.slow)


def _case(item: pytest.Item) -> dict[str, str]:
    """The space and the size of the images that a test of the contract is given."""
    called = getattr(item, "callspec", None)
    if called is None or "space" not in called.params or len(called.params) != 2:
        return {}
    return dict(zip(called.params, called.id.split("-"), strict=True))
