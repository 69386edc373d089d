"""A small Qwen3-VL with its own processor files, built from nothing.

It loads through `AutoProcessor` and `AutoModelForImageTextToText` exactly as Qwen3-VL-8B does, so that the
whole way from frames to scores runs offline on a CPU. As built, its weights are random.
"""

from typing import TYPE_CHECKING, Any

from rabc.scoring.prompt import PROMPT, QUESTION, STATEMENT
from rabc.sim.scene import INSTRUCTIONS, Task

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast, Qwen3VLForConditionalGeneration
    from transformers.models.qwen3_vl import Qwen3VLProcessor

SAMPLE_FPS = 5.0
PATCH = 16
MERGE = 2

# The chat template of Qwen3-VL, reduced to what a user turn with videos and text needs.
CHAT_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
    "{% for part in message['content'] %}"
    "{% if part['type'] == 'video' %}<|vision_start|><|video_pad|><|vision_end|>"
    "{% elif part['type'] == 'text' %}{{ part['text'] }}{% endif %}"
    "{% endfor %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
SPECIAL = (
    "<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>", "<|vision_pad|>",
    "<|image_pad|>", "<|video_pad|>",
)  # fmt: skip
# Phrases that never vary are one token each: the question tails are as long as the video otherwise.
PHRASES = (STATEMENT.rstrip(), QUESTION, " seconds>", "user\n")
WORDS = (
    *PROMPT.endings, " Pick up the cube. Lift", " red", " green", " blue", " yellow", " orange", " purple",
    " cyan",
    " magenta", " pink", " white", " black", " gray", " brown", " block", " Place", " it", " on", " in",
    " box",
)  # fmt: skip


def build_tokenizer(task: Task = "pick") -> "PreTrainedTokenizerFast":
    """A byte-level BPE tokenizer with Qwen's special tokens; any text can be written with it.

    What follows the cube in the instruction of `task` is one token, too.
    """
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer: Any = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=512, min_frequency=1, special_tokens=list(SPECIAL),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()), show_progress=False,
    )  # fmt: skip
    tokenizer.train_from_iterator(WORDS, trainer)
    ending = INSTRUCTIONS[task].partition("cube")[2]
    phrases = (*PHRASES, ending) if len(ending) > 1 else PHRASES
    tokenizer.add_tokens([AddedToken(phrase, normalized=False) for phrase in phrases])
    fast: Any = PreTrainedTokenizerFast
    return fast(
        tokenizer_object=tokenizer,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        additional_special_tokens=[
            token for token in SPECIAL if token not in ("<|im_end|>", "<|endoftext|>")
        ],
    )


def build_processor(task: Task = "pick") -> "Qwen3VLProcessor":
    """Processor that samples at 5 Hz and never resizes frames whose sides are multiples of 32 pixels."""
    from transformers import Qwen2VLImageProcessor
    from transformers.models.qwen3_vl import Qwen3VLProcessor, Qwen3VLVideoProcessor

    # Budget per clip in pixels: from one frame of 32x32 to 1,000 frames of 640x480.
    size = {"shortest_edge": 32 * 32, "longest_edge": 1000 * 640 * 480}
    sizes: dict[str, Any] = {"patch_size": PATCH, "temporal_patch_size": 2, "merge_size": MERGE, "size": size}
    video: Any = Qwen3VLVideoProcessor
    image: Any = Qwen2VLImageProcessor
    processor: Any = Qwen3VLProcessor
    return processor(
        image_processor=image(**sizes),
        tokenizer=build_tokenizer(task),
        video_processor=video(fps=SAMPLE_FPS, **sizes),
        chat_template=CHAT_TEMPLATE,
    )


def build_model(
    processor: "Qwen3VLProcessor",
    seed: int,
    width: int = 192,
    layers: int = 4,
    heads: int = 6,
    vision_width: int = 128,
    vision_layers: int = 3,
) -> "Qwen3VLForConditionalGeneration":
    """Random weights from `seed`; the defaults have 3.5 million parameters (7 MB in bfloat16).

    width: of the language model, a multiple of 16 * heads / 2; vision_width: a multiple of 16.
    """
    import torch
    from transformers import Qwen3VLConfig, Qwen3VLForConditionalGeneration

    tokenizer: Any = processor.tokenizer  # pyright: ignore[reportAttributeAccessIssue]
    head_dim = width // heads
    third = head_dim // 6
    make_config: Any = Qwen3VLConfig
    config = make_config(
        text_config={
            "vocab_size": len(tokenizer),
            "hidden_size": width,
            "intermediate_size": 3 * width,
            "num_hidden_layers": layers,
            "num_attention_heads": heads,
            "num_key_value_heads": max(1, heads // 2),
            "head_dim": head_dim,
            "max_position_embeddings": 32768,
            "rope_parameters": {
                "rope_type": "default",
                "rope_theta": 10000.0,
                # Shares of the rotary frequencies: time, row, column.
                "mrope_section": [head_dim // 2 - 2 * third, third, third],
            },
            "pad_token_id": tokenizer.pad_token_id,
            "eos_token_id": tokenizer.eos_token_id,
            "tie_word_embeddings": True,
        },
        vision_config={
            "depth": vision_layers,
            "hidden_size": vision_width,
            "intermediate_size": 2 * vision_width,
            "num_heads": 4,
            "patch_size": PATCH,
            "temporal_patch_size": 2,
            "spatial_merge_size": MERGE,
            "out_hidden_size": width,
            "num_position_embeddings": 36,  # one per patch of a 96x96 frame
            "deepstack_visual_indexes": list(range(1, vision_layers)),
        },
        image_token_id=tokenizer.convert_tokens_to_ids("<|image_pad|>"),
        video_token_id=tokenizer.convert_tokens_to_ids("<|video_pad|>"),
        vision_start_token_id=tokenizer.convert_tokens_to_ids("<|vision_start|>"),
        vision_end_token_id=tokenizer.convert_tokens_to_ids("<|vision_end|>"),
        tie_word_embeddings=True,
    )  # fmt: skip
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = Qwen3VLForConditionalGeneration(config).eval()
    _match_like_with_like(model)
    return model


def _match_like_with_like(model: "Qwen3VLForConditionalGeneration") -> None:
    """Set each query projection to its key projection: tokens first attend to those that equal them."""
    import torch
    from einops import repeat

    layers: Any = model.model.language_model.layers
    with torch.no_grad():
        for layer in layers:
            attention = layer.self_attn
            query, key = attention.q_proj.weight, attention.k_proj.weight
            shared = len(query) // len(key)  # query heads that look at the same key head
            query.copy_(repeat(key, "(head d) w -> (head shared d) w", shared=shared, d=attention.head_dim))
