"""A video-language model of another architecture, loaded and scored through the same door."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import (
    LlavaOnevisionConfig,
    LlavaOnevisionForConditionalGeneration,
    LlavaOnevisionImageProcessor,
    LlavaOnevisionProcessor,
    LlavaOnevisionVideoProcessor,
    Qwen2Config,
    SiglipVisionConfig,
)

from rabc.scoring.prompt import QUESTION, STATEMENT
from rabc.scoring.small import architecture
from rabc.scoring.topreward import TOPReward
from rabc.system.errors import InputError

TASK = "Pick up the red cube."
SIDE = 32
TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }} {% for part in message['content'] %}"
    "{% if part['type'] == 'video' %}<|video_pad|>\n{% else %}{{ part['text'].strip() }}{% endif %}"
    "{% endfor %}<|im_end|>{% endfor %}"
)


@pytest.fixture(scope="module")
def llava(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A LLaVA-OneVision of random weights."""
    tokenizer: Any = architecture.build_tokenizer()
    image, video = (tokenizer.convert_tokens_to_ids(f"<|{kind}_pad|>") for kind in ("image", "video"))
    size = {"height": SIDE, "width": SIDE}
    processor = LlavaOnevisionProcessor(
        LlavaOnevisionImageProcessor(size=size, image_grid_pinpoints=[[SIDE, SIDE]]),
        tokenizer,
        LlavaOnevisionVideoProcessor(size=size),
        num_image_tokens=16,
        vision_feature_select_strategy="full",
        chat_template=TEMPLATE,
        image_token="<|image_pad|>",
        video_token="<|video_pad|>",
    )
    torch.manual_seed(0)
    model = LlavaOnevisionForConditionalGeneration(
        LlavaOnevisionConfig(
            vision_config=SiglipVisionConfig(
                hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2,
                image_size=SIDE, patch_size=8,
            ).to_dict(),
            text_config=Qwen2Config(
                vocab_size=len(tokenizer), hidden_size=48, intermediate_size=96, num_hidden_layers=2,
                num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=2000,
            ).to_dict(),
            image_token_index=image, video_token_index=video, vision_feature_select_strategy="full",
            image_grid_pinpoints=[[SIDE, SIDE]],
        )
    )  # fmt: skip
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.mul_(6.0)
    folder = tmp_path_factory.mktemp("llava") / "tiny-llava"
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


def frames(count: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 255, (count, 3, 48, 64), dtype=np.uint8)


def test_it_is_scored_one_forward_per_prefix(llava: Path) -> None:
    scorer = TOPReward.from_pretrained(str(llava))
    assert scorer.path == "one forward per prefix"
    assert scorer.sample_fps == 2.0
    scores = scorer.score(frames(26), TASK, 10.0, 4)
    assert scores.prefix_lengths.tolist() == [1, 11, 16, 26]
    assert np.ptp(scores.log_prob_true) > 1e-3
    assert (scores.log_prob_true < 0).all()
    for end in (1, 11, 26):  # a prefix on its own
        alone = scorer.score(frames(26)[:end], TASK, 10.0, 1).log_prob_true[0]
        position = scores.prefix_lengths.tolist().index(end)
        assert alone == pytest.approx(scores.log_prob_true[position], abs=1e-5)


def test_its_score_is_the_models_own_log_probability(llava: Path) -> None:
    """Written out with nothing of ours but the prompt's words."""
    scorer = TOPReward.from_pretrained(str(llava))
    video = frames(11)
    text = f"<|im_start|>user <|video_pad|>\n{STATEMENT}{TASK}{QUESTION} True"
    sampled = torch.from_numpy(video[[0, 5, 10]])
    inputs = scorer.processor(text=[text], videos=[sampled], return_tensors="pt", do_sample_frames=False)
    with torch.inference_mode():
        logits = scorer.model(**inputs).logits[0, -2]
    expected = torch.log_softmax(logits, -1)[inputs["input_ids"][0, -1]]
    assert scorer.score(video, TASK, 10.0, 1).log_prob_true[0] == pytest.approx(float(expected), abs=1e-5)


def test_an_instruction_beyond_its_context_is_refused(llava: Path) -> None:
    scorer = TOPReward.from_pretrained(str(llava))
    with pytest.raises(InputError, match="of the scorer's 2000; shorten it"):
        scorer.score(frames(3), "Pick up the cube. " * 2000, 10.0, 1)


def test_an_instruction_that_just_fits_its_context_is_answered(
    llava: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scorer = TOPReward.from_pretrained(str(llava))
    video = frames(3)
    text = f"<|im_start|>user <|video_pad|>\n{STATEMENT}{TASK}{QUESTION} True"
    given = scorer.processor(
        text=[text], videos=[torch.from_numpy(video[:1])], return_tensors="pt", do_sample_frames=False
    )
    needed = given["input_ids"].shape[1]
    limits: Any = scorer.model.config.get_text_config()
    monkeypatch.setattr(limits, "max_position_embeddings", needed)
    scorer.score(video[:1], TASK, 10.0, 1)
    monkeypatch.setattr(limits, "max_position_embeddings", needed - 1)
    with pytest.raises(InputError, match=f"takes {needed} positions of the scorer's {needed - 1}; shorten"):
        scorer.score(video[:1], TASK, 10.0, 1)
