"""The limit of a trial on a card, as torch's allocator enforces it."""

import pytest
import torch

from nas.engines.limits import limited
from tests.cards import GIB, Card, present

MIB = 2**20
SEGMENT = 2 * MIB
CUDA = torch.device("cuda", 0)


@pytest.mark.parametrize("total", [84_987_740_160, 42_297_786_368, 25_438_126_080, 15_843_721_216])
def test_no_reservation_is_a_byte_short(total: int, monkeypatch: pytest.MonkeyPatch) -> None:
    card = Card(total)
    present(monkeypatch, card)
    sizes = [segments * SEGMENT for segments in range(1, total // SEGMENT)]
    short = [size for size in sizes if int(size / total * total) < size]
    assert short
    for size in (short[0], short[-1]):
        with limited(CUDA, size + 500 * MIB, context=500 * MIB):
            assert card.limit == size
    assert card.limit == total


@pytest.mark.parametrize(
    ("reservation", "context", "limit"),
    [(100 * GIB, 0, 80 * GIB), (80 * GIB, 0, 80 * GIB), (0, 0, 0), (GIB, 2 * GIB, 0)],
)
def test_a_reservation_beyond_the_card_allows_the_card(
    reservation: int, context: int, limit: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    card = Card()
    present(monkeypatch, card)
    with limited(CUDA, reservation, context):
        assert card.limit == limit
