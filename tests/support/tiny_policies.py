"""LeRobot policies at tiny size, and batches for them."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

SIZE = 64  # a ResNet makes 2x2 features of it; of 32 pixels one, whose place tells Diffusion nothing
CAMERAS = ("observation.images.front", "observation.images.wrist")
ACT_SETTINGS: dict[str, Any] = {
    "pretrained_backbone_weights": None,
    "chunk_size": 5,
    "n_action_steps": 5,
    "dim_model": 32,
    "n_heads": 4,
    "dim_feedforward": 64,
    "n_encoder_layers": 1,
    "latent_dim": 8,
}
DIFFUSION_SETTINGS: dict[str, Any] = {
    "pretrained_backbone_weights": None,
    "use_group_norm": True,
    "n_obs_steps": 2,
    "horizon": 8,
    "n_action_steps": 4,
    "down_dims": (16, 32),
    "n_groups": 4,
    "diffusion_step_embed_dim": 16,
    "spatial_softmax_num_keypoints": 4,
}


def features() -> dict[str, Any]:
    """Two cameras, six joints."""
    from lerobot.configs import FeatureType, PolicyFeature

    return {
        "input_features": {
            **dict.fromkeys(CAMERAS, PolicyFeature(FeatureType.VISUAL, (3, SIZE, SIZE))),
            "observation.state": PolicyFeature(FeatureType.STATE, (6,)),
        },
        "output_features": {"action": PolicyFeature(FeatureType.ACTION, (6,))},
        "device": "cpu",
    }


def make_smolvlm(folder: Path) -> Path:
    """A SmolVLM of 60 thousand random weights' configuration, with a processor of thirteen words."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import (
        PreTrainedTokenizerFast,
        SmolVLMConfig,
        SmolVLMImageProcessor,
        SmolVLMProcessor,
        SmolVLMVideoProcessor,
    )

    special = ["<fake_token_around_image>", "<image>", "<global-img>", "<row_1_col_1>"]
    words = ["<unk>", "<pad>", "<end_of_utterance>", *special, "Pick", "up", "the", "red", "cube", "."]
    table = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="<unk>"))
    table.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=table,
        unk_token="<unk>",
        pad_token="<pad>",
        eos_token="<end_of_utterance>",
        extra_special_tokens=dict(
            zip(["fake_image_token", "image_token", "global_image_token"], special[:3], strict=True)
        ),
    )
    text = {
        "model_type": "llama", "vocab_size": 32, "hidden_size": 32, "intermediate_size": 32,
        "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 8,
        "pad_token_id": 1,
    }  # fmt: skip
    vision = {
        "hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2,
        "image_size": SIZE, "patch_size": 16,
    }  # fmt: skip
    SmolVLMConfig(
        text_config=text, vision_config=vision, scale_factor=2, image_token_id=4, pad_token_id=1
    ).save_pretrained(folder)
    SmolVLMProcessor(
        SmolVLMImageProcessor(), tokenizer, SmolVLMVideoProcessor(), image_seq_len=4
    ).save_pretrained(folder)
    return folder


def tiny_policy(kind: str, smolvlm: Path | None = None, **changes: Any) -> Any:
    """A real LeRobot policy in training mode, always the same weights. smolvlm: folder, for smolvla."""
    from lerobot.policies.factory import get_policy_class, make_policy_config

    settings: dict[str, Any] = {"act": ACT_SETTINGS, "diffusion": DIFFUSION_SETTINGS}.get(kind, {})
    if kind == "smolvla":
        settings = {
            "chunk_size": 5, "n_action_steps": 5, "resize_imgs_with_padding": (SIZE, SIZE),
            "num_vlm_layers": 2, "max_state_dim": 6, "max_action_dim": 6,
            "vlm_model_name": str(smolvlm),
        }  # fmt: skip
    torch.manual_seed(0)
    config = make_policy_config(kind, **{**features(), **settings, **changes})
    return get_policy_class(kind)(config).train()


def tiny_batch(policy: Any, size: int = 4, padded: bool = True) -> dict[str, Tensor]:
    """Preprocessed; the padding varies from sample to sample."""
    random = torch.Generator().manual_seed(1)
    config = policy.config
    ticks = len(config.action_delta_indices)
    time = () if config.observation_delta_indices is None else (len(config.observation_delta_indices),)
    # The first sample keeps all its actions, the last only one.
    valid = torch.linspace(ticks, 1, size).round() if padded else torch.full((size,), float(ticks))
    batch = {
        "observation.state": torch.randn(size, *time, 6, generator=random),
        "action": torch.randn(size, ticks, 6, generator=random),
        "action_is_pad": torch.arange(ticks) >= valid[:, None],
    }
    for camera in CAMERAS:
        batch[camera] = torch.rand(size, *time, 3, SIZE, SIZE, generator=random)
    if config.type == "smolvla":
        batch["observation.language.tokens"] = torch.tensor([[7, 8, 9, 10, 11]] * size)
        batch["observation.language.attention_mask"] = torch.ones(size, 5, dtype=torch.bool)
    return batch
