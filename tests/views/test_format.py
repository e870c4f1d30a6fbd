import pytest

from nas.views import format
from tests.views.terminal.samples import HOSTILE, LITERAL


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        (format.accuracy(0.98126), "0.9813"),
        (format.accuracy(1.0), "1.0000"),
        (format.accuracy(None), "–"),
        (format.real(0.00123456), "0.00123"),
        (format.real(1e-5), "1e-05"),
        (format.count(0), "0"),
        (format.count(999), "999"),
        (format.count(999.6), "1.00k"),
        (format.count(12345), "12.3k"),
        (format.count(99_960), "100k"),
        (format.count(999_600), "1.00M"),
        (format.count(1_411_000), "1.41M"),
        (format.count(15_346_630_656), "15.3G"),
        (format.memory(612 * 2**20), "612 MiB"),
        (format.memory(3 * 2**29), "1.5 GiB"),
        (format.amount(12345, ""), "12.3k"),
        (format.amount(None, "bytes"), "–"),
        (format.amount(612 * 2**20, "bytes"), "612 MiB"),
        (format.amount(1.256, "ms"), "1.26 ms"),
        (format.duration(0.4), "0:00"),
        (format.duration(62), "1:02"),
        (format.duration(3599.6), "1h 00m"),
        (format.duration(3720), "1h 02m"),
        (format.duration(100_000), "27h 46m"),
        (format.duration(None), "–"),
        (format.shape((3, 32, 32)), "3×32×32"),
        (format.shape(()), "–"),
        (format.plural(1, "trial"), "1 trial"),
        (format.plural(54_000, "image"), "54,000 images"),
        (format.counts({"completed": 20, "pruned": 9, "failed": 0}), "20 completed, 9 pruned"),
        (format.counts({"does_not_fit": 3, "duplicate": 1}), "3 did not fit, 1 duplicate"),
        (format.counts({}), "none"),
        (format.value(True), "yes"),
        (format.value([64, 128]), "64-128"),
        (format.value(()), "–"),
        (format.value(0.00123456), "0.00123"),
        (format.value({"units": 3, "bias": None}), "units 3"),
        (format.value(HOSTILE), LITERAL),
        (format.space("cnn_fc"), "cnn_fc"),
        (format.space("/home/me/my_space.py"), "my_space"),
        (format.sparkline([0.1, 0.4, 0.8]), "▁▄█"),
        (format.sparkline([0.5, 0.5]), "▁▁"),
        (format.sparkline([]), ""),
        (format.sparkline([0.0, 0.1, 0.2, 0.5, 0.9, 1.0], 3), "▁▄█"),
        (format.clean(HOSTILE), LITERAL),
        (format.clean("Größe 日本 →"), "Größe 日本 →"),
    ],
)
def test_what_a_person_reads(shown, expected):
    assert shown == expected


def test_an_architecture_in_words_leaves_out_what_it_does_not_have():
    description = {
        "filters": [16, 32],
        "bottleneck": None,
        "batch_norm": True,
        "fc_units": [],
        "dropout": 0.30000000004,
    }
    assert format.in_words(description) == "filters 16-32, batch_norm, dropout 0.3"
