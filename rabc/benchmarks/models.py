"""Models with random weights to time: what a forward costs does not depend on the weights."""

from pathlib import Path
from typing import Any, Literal

import torch

from rabc.scoring.small.architecture import build_model, build_processor
from rabc.scoring.small.train import save_scorer
from rabc.scoring.topreward import TOPReward

Architecture = Literal["tiny", "small", "100m", "qwen3-vl-8b"]

# Qwen3-VL's own budget of pixels per clip (its video processor's defaults).
QWEN3_VL_PIXELS = {"shortest_edge": 128 * 32 * 32, "longest_edge": 32 * 32 * 768 * 32}
SIZES: dict[Architecture, dict[str, int]] = {
    "tiny": {"width": 96, "layers": 2, "heads": 3, "vision_width": 64, "vision_layers": 2},
    "small": {},  # as the shipped one
    "100m": {"width": 768, "layers": 12, "heads": 12, "vision_width": 384, "vision_layers": 8},
}
ANY_SIZE = {"shortest_edge": 32 * 32, "longest_edge": 10**9}


def random_scorer(
    architecture: Architecture,
    device: str,
    dtype: torch.dtype,
    sample_fps: float,
    pixels: dict[str, int] = ANY_SIZE,
    seed: int = 0,
) -> TOPReward:
    """A scorer of this architecture with random weights. pixels: budget of its video processor per clip."""
    processor: Any = build_processor()
    processor.video_processor.size = pixels
    model: Any
    if architecture == "qwen3-vl-8b":
        model = _qwen3_vl_8b(processor, device, dtype)
    else:
        sizes = SIZES[architecture]
        model = build_model(processor, seed, **sizes)
        with torch.no_grad():
            for parameter in model.parameters():
                if parameter.ndim > 1:
                    parameter.mul_(4.0)  # so that the answers depend on what is seen
        model.to(device=torch.device(device), dtype=dtype)
    model.eval().requires_grad_(False)
    return TOPReward(model, processor, architecture, "random", sample_fps, path="two forwards")


def save(scorer: TOPReward, folder: Path) -> Path:
    """Writes it as a model folder (bfloat16), for programs that load one."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    save_scorer(scorer.model, scorer.processor, folder)
    return folder


def parameters(scorer: TOPReward) -> int:
    """Number of weights."""
    return sum(parameter.numel() for parameter in scorer.model.parameters())


def _qwen3_vl_8b(processor: Any, device: str, dtype: torch.dtype) -> Any:
    """Qwen/Qwen3-VL-8B-Instruct as its config.json describes it, but for the ids of the special tokens."""
    from transformers import Qwen3VLConfig, Qwen3VLForConditionalGeneration

    tokenizer: Any = processor.tokenizer
    ids = {
        name: tokenizer.convert_tokens_to_ids(f"<|{token}|>")
        for name, token in {
            "image_token_id": "image_pad",
            "video_token_id": "video_pad",
            "vision_start_token_id": "vision_start",
            "vision_end_token_id": "vision_end",
        }.items()
    }
    make: Any = Qwen3VLConfig
    config = make(
        text_config={
            "vocab_size": 151936, "hidden_size": 4096, "intermediate_size": 12288, "num_hidden_layers": 36,
            "num_attention_heads": 32, "num_key_value_heads": 8, "head_dim": 128,
            "max_position_embeddings": 262144, "pad_token_id": tokenizer.pad_token_id,
            "rope_parameters": {
                "rope_type": "default", "rope_theta": 5_000_000.0, "mrope_section": [24, 20, 20],
            },
        },
        vision_config={
            "depth": 27, "hidden_size": 1152, "intermediate_size": 4304, "num_heads": 16, "patch_size": 16,
            "temporal_patch_size": 2, "spatial_merge_size": 2, "out_hidden_size": 4096,
            "num_position_embeddings": 2304, "deepstack_visual_indexes": [8, 16, 24],
        },
        tie_word_embeddings=False, **ids,
    )  # fmt: skip
    default = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        with torch.device(device):
            torch.manual_seed(0)
            return Qwen3VLForConditionalGeneration(config)
    finally:
        torch.set_default_dtype(default)
