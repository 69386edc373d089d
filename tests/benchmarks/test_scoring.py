"""What the benchmark compares with must itself be right."""

from pathlib import Path

import numpy as np
import pytest
import torch

from rabc.benchmarks import models, scoring
from rabc.benchmarks.lines import Line, at_least, at_most, ratio, side_by_side
from rabc.benchmarks.page import fill
from rabc.benchmarks.sequential import sequential_log_probs
from rabc.scoring.base import Clip
from rabc.scoring.layout import Questions
from rabc.system.errors import InputError


@pytest.mark.parametrize("encode_once", [True, False])
def test_the_sequential_loop_gives_the_references_scores(encode_once: bool) -> None:
    scorer = models.random_scorer("tiny", "cpu", torch.float32, 10.0)
    frames = scoring.random_frames(9, 64, 96, seed=0)
    expected = scoring.slow(scorer).score_clips([Clip(frames, 9, 10.0, "Pick up the cube.")], 0)[0]
    questions = Questions(frames, np.arange(9), 10.0, ("Pick up the cube.",), np.array([2, 6, 9]))
    found = sequential_log_probs(scorer, questions, encode_once)
    assert np.abs(found - expected.log_prob_true[[1, 5, 8]]).max() < 1e-5


def test_exactness_is_measured_on_scores_that_vary() -> None:
    lines = scoring.exactness(8)
    assert [line.holds for line in lines] == [True, True]
    assert 0 < lines[0].measured < 1e-4  # a difference of exactly 0 would be a comparison with itself


def test_runs_are_timed_in_turn() -> None:
    calls: list[str] = []
    runs = {"a": (lambda: calls.append("a"), 2), "b": (lambda: calls.append("b"), 1)}
    seconds = side_by_side(runs, "cpu")
    assert calls == ["a", "b", "a"]
    assert [len(seconds["a"]), len(seconds["b"])] == [2, 1]
    assert ratio({"a": [4.0, 2.0, 6.0], "b": [2.0]}, "a", "b")[0] == 2.0


def test_the_page_is_filled_between_its_marks(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- scoring cpu -->\nstale\n<!-- /scoring cpu -->\nafter\n")
    fill(page, "scoring cpu", {"threads": 2}, [at_most("x", 1.0, 2.0, "s", "once")])
    text = page.read_text()
    assert "stale" not in text
    assert text.startswith("before\n<!-- scoring cpu -->\nthreads 2.\n\n| what |")
    assert text.endswith("| x | 1 s | <= 2 | yes | once |\n<!-- /scoring cpu -->\nafter\n")
    with pytest.raises(InputError, match="has no <!-- scoring cuda -->"):
        fill(page, "scoring cuda", {}, [])


def test_bounds() -> None:
    assert at_most("x", 1.2, 1.15, "x").holds is False
    assert at_least("x", 5.0, 5.0, "x").holds is True
    assert Line("x", 1.0, "x").cells() == ["x", "1 x", "", "", ""]


def test_the_large_architecture_is_of_the_size_it_is_called() -> None:
    """Built without memory: 8 billion in the language model, half a billion in the vision encoder."""
    scorer = models.random_scorer("qwen3-vl-8b", "meta", torch.bfloat16, 2.0)
    vision = sum(weight.numel() for weight in scorer.model.model.visual.parameters())
    assert 0.5e9 < vision < 0.65e9
    assert 8.1e9 < models.parameters(scorer) - vision < 8.3e9
