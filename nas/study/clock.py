"""Moments as the tables hold them: in UTC, without a time zone."""

from datetime import UTC, datetime


def now() -> datetime:
    """This moment."""
    return datetime.now(UTC).replace(tzinfo=None)


def seconds_since(moment: datetime) -> float:
    """From a moment that was stored until now."""
    return (now() - moment).total_seconds()
