"""The contracts that our own plug-ins keep to, for the authors of others.

Each is a class of tests. Subclass it in a test module of yours, say what to test, and run pytest:

    from nas.testing import SpaceContract

    class TestMySpace(SpaceContract):
        name = "path/to/my_space.py"
"""

import pytest

# so that failures show the values
for module in ("datasets", "exporters", "loggers", "pruners", "samplers", "spaces"):
    pytest.register_assert_rewrite(f"nas.testing.{module}")

from nas.testing.datasets import DatasetContract, Sample  # noqa: E402
from nas.testing.exporters import ExporterContract  # noqa: E402
from nas.testing.loggers import LoggerContract  # noqa: E402
from nas.testing.pruners import PrunerContract  # noqa: E402
from nas.testing.samplers import SamplerContract  # noqa: E402
from nas.testing.spaces import SpaceContract  # noqa: E402

__all__ = [
    "DatasetContract",
    "ExporterContract",
    "LoggerContract",
    "PrunerContract",
    "Sample",
    "SamplerContract",
    "SpaceContract",
]
