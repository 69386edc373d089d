"""Two forwards for all prefixes against the reference, one forward per prefix, on real tiny models."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rabc.scoring.base import Clip
from rabc.scoring.layout import Questions
from rabc.scoring.prompt import Prompt, encode, question_text
from rabc.scoring.qwen3_vl import answer
from rabc.scoring.small import architecture
from rabc.scoring.small.train import save_scorer
from rabc.scoring.topreward import TOPReward
from rabc.system.errors import InputError

TASKS = (
    "Pick up the red cube.",
    "Put it down.",
    "Pick up the blue cube, then put it into the box on the left.",
)


@pytest.fixture(scope="module")
def scorer(tmp_path_factory: pytest.TempPathFactory) -> TOPReward:
    processor = architecture.build_processor()
    processor.video_processor.size = {"shortest_edge": 32 * 32, "longest_edge": 10**8}
    model = architecture.build_model(
        processor, 0, width=96, layers=2, heads=3, vision_width=64, vision_layers=2
    )
    return TOPReward(sensitive(model), processor, "tiny", "0", 10.0, path="two forwards")


def sensitive(model: Any) -> Any:
    """Larger weights, so that the answer depends on what is seen."""
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.mul_(4.0)
    return model.eval()


def frames(count: int, height: int, width: int, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 255, (count, 3, height, width), generator=generator, dtype=torch.uint8)


def reference(scorer: TOPReward, clip: Clip, num_prefixes: int = 0) -> np.ndarray:
    slow = replace(scorer, path="one forward per prefix")
    (scores,) = slow.score_clips([clip], num_prefixes)
    return np.stack([scores.log_prob_true, scores.log_prob_false])


@settings(max_examples=25, deadline=None)
@given(
    counts=st.lists(st.integers(1, 11), min_size=1, max_size=3),
    sides=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    num_prefixes=st.integers(0, 6),
    task=st.sampled_from(TASKS),
    fps=st.sampled_from([10.0, 30.0]),
    early=st.integers(0, 2),
    seed=st.integers(0, 1000),
)
def test_they_equal_one_forward_per_prefix(
    scorer: TOPReward,
    counts: list[int],
    sides: tuple[int, int],
    num_prefixes: int,
    task: str,
    fps: float,
    early: int,
    seed: int,
) -> None:
    """early: raw frames by which the video ends before the next frame of the grid."""
    clips = []
    for number, count in enumerate(counts):
        length = int((count - 1) * fps / 10) + 1
        if count > 1 and fps == 30.0:
            length -= early
        height, width = (32 * (side + number % 2) for side in sides)
        clips.append(Clip(frames(count, height, width, seed + number), length, fps, task))
    found = scorer.score_clips(clips, num_prefixes)
    for clip, scores in zip(clips, found, strict=True):
        expected = reference(scorer, clip, num_prefixes)
        assert np.abs(np.stack([scores.log_prob_true, scores.log_prob_false]) - expected).max() < 1e-4


def test_every_frame_is_a_prefix_odd_ones_included(scorer: TOPReward) -> None:
    clip = Clip(frames(7, 64, 96, 0), 7, 10.0, TASKS[0])
    (scores,) = scorer.score_clips([clip], 0)
    assert scores.prefix_lengths.tolist() == [1, 2, 3, 4, 5, 6, 7]
    assert np.ptp(scores.log_prob_true) > 0.01
    for end in range(1, 8):
        (alone,) = scorer.score_clips([Clip(clip.frames[:end], end, 10.0, TASKS[0])], 1)
        assert alone.log_prob_true[0] == pytest.approx(scores.log_prob_true[end - 1], abs=1e-5)


def test_a_small_mask_budget_changes_the_memory_and_not_the_scores(scorer: TOPReward) -> None:
    ends = np.array([1, 2, 3, 6, 7, 8])
    batch = [
        Questions(frames(8, 64, 64, 1), np.arange(8), 10.0, TASKS[:2], ends),
        Questions(frames(8, 96, 64, 2), np.arange(8), 10.0, TASKS[:1], ends[-2:]),
    ]
    forwards: list[int] = []
    hook = scorer.model.model.language_model.register_forward_pre_hook(lambda *_: forwards.append(1))
    with torch.inference_mode():
        whole = answer(scorer.model, scorer.processor, batch).log_probs
        assert len(forwards) == 2
        split = answer(scorer.model, scorer.processor, batch, mask_bytes=1).log_probs
        hook.remove()
    assert len(forwards) == 2 + 1 + 12
    for one, several in zip(whole, split, strict=True):
        assert one.shape == several.shape
        assert torch.allclose(one, several, atol=1e-5)


def test_the_vision_encoder_may_see_the_pairs_in_parts(
    scorer: TOPReward, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = Clip(frames(9, 64, 64, 3), 9, 10.0, TASKS[0])
    (whole,) = scorer.score_clips([clip], 5)
    monkeypatch.setattr("rabc.scoring.qwen3_vl.PATCHES_AT_ONCE", 40)  # two pairs of 4x4 patches
    (parts,) = scorer.score_clips([clip], 5)
    assert np.allclose(whole.log_prob_true, parts.log_prob_true, atol=1e-5)


def test_order_of_prefixes_in_bfloat16(scorer: TOPReward) -> None:
    """Where the reference tells two prefixes apart by more than its own rounding, both agree on the order."""
    model = architecture.build_model(
        scorer.processor, 0, width=96, layers=2, heads=3, vision_width=64, vision_layers=2
    )
    half = replace(scorer, model=sensitive(model).to(torch.bfloat16))
    for seed in range(3):
        clip = Clip(frames(12, 64, 64, seed), 12, 10.0, TASKS[seed])
        exact, slow = reference(scorer, clip)[0], reference(half, clip)[0]
        fast = half.score_clips([clip], 0)[0].log_prob_true
        rounding = np.abs(slow - exact).max()
        assert np.abs(fast - exact).max() < 2 * rounding + 1e-3
        apart = np.abs(exact[:, None] - exact[None, :]) > 4 * rounding
        assert apart.sum() > 10
        signs = np.sign(fast[:, None] - fast[None, :]) == np.sign(slow[:, None] - slow[None, :])
        assert signs[apart].all()


def test_other_prompts(scorer: TOPReward, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(architecture, "WORDS", (*architecture.WORDS, "True", "False", " Yes", " No"))
    processor = architecture.build_processor()
    model = sensitive(architecture.build_model(processor, 1, width=96, layers=2, heads=3, vision_width=64))
    clip = Clip(frames(5, 64, 64, 4), 5, 10.0, TASKS[0])
    seen: list[np.ndarray] = []
    for prompt in (Prompt(), Prompt(chat_template=True), Prompt(answers=("Yes", "No"))):
        other = replace(scorer, model=model, processor=processor, prompt=prompt)
        (scores,) = other.score_clips([clip], 0)
        assert np.allclose(scores.log_prob_true, reference(other, clip)[0], atol=1e-4)
        assert all(np.abs(scores.log_prob_true - before).max() > 1e-2 for before in seen)
        seen.append(scores.log_prob_true)


def test_a_question_beyond_the_context_is_refused(scorer: TOPReward) -> None:
    limit = scorer.model.config.text_config.max_position_embeddings
    clip = Clip(frames(2, 64, 64, 4), 2, 10.0, "Pick up the cube. " * limit)
    with pytest.raises(InputError, match=f"of the scorer's {limit}; shorten it"):
        scorer.score_clips([clip], 1)


@pytest.mark.parametrize("count", [4, 5])  # an odd prefix brings tokens of its own
def test_a_question_that_just_fits_the_context_is_answered(
    scorer: TOPReward, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    """The limit is the model's own count: the position of the question's last token, and one more."""
    clip = Clip(frames(count, 64, 64, 4), count, 10.0, TASKS[0])
    (expected,) = scorer.score_clips([clip], 0)
    text = question_text(scorer.processor, TASKS[0])
    given: Any = encode(scorer.processor, text, scorer.resize(clip.frames, count), np.arange(count), 10.0)
    positions, _ = scorer.model.model.get_rope_index(
        given["input_ids"], given["mm_token_type_ids"], video_grid_thw=given["video_grid_thw"]
    )
    needed = int(positions.max()) + 1
    limits: Any = scorer.model.config.text_config
    monkeypatch.setattr(limits, "max_position_embeddings", needed)
    (found,) = scorer.score_clips([clip], 0)
    assert np.array_equal(found.log_prob_true, expected.log_prob_true)
    monkeypatch.setattr(limits, "max_position_embeddings", needed - 1)
    with pytest.raises(InputError, match=f"takes {needed} positions of the scorer's {needed - 1}; shorten"):
        scorer.score_clips([clip], 0)


def test_the_mixture_of_experts(scorer: TOPReward) -> None:
    from transformers import Qwen3VLMoeConfig, Qwen3VLMoeForConditionalGeneration

    dense = scorer.model.config.to_dict()
    text = {**dense["text_config"], "moe_intermediate_size": 64, "num_experts": 4, "num_experts_per_tok": 2}
    text = {k: v for k, v in text.items() if k != "model_type"}
    vision = {k: v for k, v in dense["vision_config"].items() if k != "model_type"}
    tokens = {k: v for k, v in dense.items() if k.endswith("_token_id")}
    torch.manual_seed(0)
    model = Qwen3VLMoeForConditionalGeneration(
        Qwen3VLMoeConfig(text_config=text, vision_config=vision, **tokens)
    )
    mixture = replace(scorer, model=sensitive(model))
    clip = Clip(frames(7, 64, 64, 5), 7, 10.0, TASKS[0])
    (scores,) = mixture.score_clips([clip], 0)
    assert np.abs(scores.log_prob_true - reference(mixture, clip)[0]).max() < 1e-4


def test_it_can_be_trained_through(scorer: TOPReward) -> None:
    """The small scorer's training differentiates through both forwards."""
    batch = [Questions(frames(6, 64, 64, 6), np.arange(6), 10.0, TASKS[:1], np.array([2, 6]))]
    answer(scorer.model, scorer.processor, batch).log_probs[0].sum().backward()
    weight = scorer.model.model.visual.patch_embed.proj.weight
    assert weight.grad is not None
    assert float(weight.grad.abs().sum()) > 0
    scorer.model.zero_grad(set_to_none=True)


def test_choosing_the_path(scorer: TOPReward, tmp_path: Path) -> None:
    save_scorer(scorer.model, scorer.processor, tmp_path / "tiny")
    assert TOPReward.from_pretrained(str(tmp_path / "tiny")).path == "two forwards"
