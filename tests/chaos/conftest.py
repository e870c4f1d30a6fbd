"""A small disk, which `tests/study` knows how to make."""

from tests.study.test_full_disk import disk  # noqa: F401
