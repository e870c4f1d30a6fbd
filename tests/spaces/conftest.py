"""The contract on every search space and on images of every size: what takes long, one of them at a time."""

import pytest

LONG = ("memory_of_training", "small_network_that_trains", "random_proposals_train")

USUAL = ("cnn_fc", "1x28x28")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if isinstance(item, pytest.Function) and any(name in item.name for name in LONG):
            case = item.name.partition("[")[2].rstrip("]")
            if case and not any(usual in case for usual in USUAL):
                item.add_marker(pytest.mark.slow)
