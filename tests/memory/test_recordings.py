"""Our allocator against torch's on real cards."""

import pytest

from nas.memory import allocator
from nas.memory.allocator import MIB
from tests.memory.recordings import NAMES, Recording, Replay


@pytest.mark.parametrize("name", NAMES)
def test_every_address_and_segment_is_the_one_that_torch_chose(name: str) -> None:
    recording = Recording(name)
    replay = Replay(recording)
    assert replay.run(recording.events) == []
    assert replay.wrong_segments == []
    assert not replay.announced
    assert replay.segments == recording.segments
    assert replay.free_blocks == recording.free
    assert {address: block.size for address, block in replay.held.items()} == recording.held


@pytest.mark.parametrize(
    ("rule", "value", "name"),
    [
        ("ROUNDING", 2048, "14"),
        ("SMALL", MIB // 2, "14"),
        ("LARGE", 8 * MIB, "16"),
        ("LARGE_SEGMENT", 10 * MIB, "16"),
    ],
)
def test_another_rule_would_be_noticed(
    rule: str, value: int, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    recording = Recording(name)
    replay = Replay(recording)
    monkeypatch.setattr(allocator, rule, value)
    assert replay.run(recording.events)
