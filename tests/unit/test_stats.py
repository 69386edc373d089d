"""Intervals against published figures."""

import pytest

from rabc.stats import proportion


def test_wilson_interval_equals_the_published_one():
    # Newcombe 1998, table I, method 3.
    for successes, trials, low, high in (
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
    ):
        found = proportion(successes, trials)
        assert (found.low, found.high) == (pytest.approx(low, abs=1e-4), pytest.approx(high, abs=1e-4))
        assert found.value == successes / trials


def test_it_reads_as_a_sentence():
    assert str(proportion(15, 30)) == "15/30 = 50 % (95 % interval 33-67 %)"
