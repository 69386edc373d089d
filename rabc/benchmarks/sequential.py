"""The loop that two forwards replace: a growing cache, one question after the other.

The language model is called for every prefix, on the frames that are new, and once more for the question,
whose tokens are then cut off the cache again. Written as one writes it, the processor and the vision encoder
get the whole prefix each time; `encode_once` is the best that can be made of the loop.
"""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from rabc.scoring.layout import Questions, Tokens, lay_out
from rabc.scoring.prompt import answer_ids
from rabc.scoring.topreward import TOPReward


@torch.inference_mode()
def sequential_log_probs(scorer: TOPReward, questions: Questions, encode_once: bool) -> NDArray[np.float64]:
    """log p(True) (E,) of a clip whose prefix ends are all even, or the whole clip."""
    from transformers import DynamicCache

    model, processor = scorer.model, scorer.processor
    size = (int(questions.frames.shape[-2]), int(questions.frames.shape[-1]))
    layout = lay_out(model, processor, questions, size)
    cache: Any = DynamicCache(config=model.config.get_text_config())
    column = answer_ids(processor)[0]
    found: list[float] = []
    seen = pairs = 0
    for branch, end in zip(layout.branches, questions.ends.tolist(), strict=True):
        if branch.own_pair is not None:
            raise ValueError(f"prefix of {end} frames: odd, inside the clip")
        part = slice(seen, branch.seen)
        new = Tokens(layout.video.ids[part], layout.video.positions[:, part])
        stop = (end + 1) // 2
        order = layout.pairs[pairs if encode_once else 0 : stop].flatten()
        _extend(model, processor, new, questions.frames[order], stop - pairs, cache)
        seen, pairs = branch.seen, stop
        states = _extend(model, processor, branch.tokens, None, 0, cache)
        cache.crop(seen)
        logits = model.lm_head(states[0, -1]).float()
        found.append(float(torch.log_softmax(logits, dim=-1)[column]))
    return np.array(found)


def _extend(
    model: Any, processor: Any, tokens: Tokens, frames: torch.Tensor | None, pairs: int, cache: Any
) -> Any:
    """Hidden states (1, N, width) of `tokens` behind the cache, which grows by them.

    frames: whose last `pairs` pairs are in `tokens`.
    """
    ids = tokens.ids[None].to(model.device)
    embedded = model.get_input_embeddings()(ids)
    vision: dict[str, Any] = {}
    if frames is not None:
        inputs = processor.video_processor(
            videos=[frames], do_sample_frames=False, do_resize=False, return_tensors="pt"
        ).to(model.device)
        pictures = model.model.get_video_features(
            inputs["pixel_values_videos"], inputs["video_grid_thw"], return_dict=True
        )
        where = ids == model.config.video_token_id
        new = pairs * len(pictures.pooler_output[0]) // (len(frames) // 2)
        features = pictures.pooler_output[0][-new:].to(embedded.dtype)
        embedded = embedded.masked_scatter(where[..., None], features)
        layers = [layer[-new:] for layer in pictures.deepstack_features]
        vision = {"visual_pos_masks": where, "deepstack_visual_embeds": layers}
    return model.model.language_model(
        inputs_embeds=embedded, position_ids=tokens.positions[:, None].to(model.device),
        past_key_values=cache, use_cache=True, **vision,
    ).last_hidden_state  # fmt: skip
