"""A small disk of the tests' own."""

from tests.study.test_full_disk import disk  # noqa: F401
