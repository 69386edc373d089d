"""TOPReward's prompt, its answer tokens, and the video as the model sees it.

Prompt and answer token: TOPReward (arXiv 2602.19313), public code and LeRobot's `rewards/topreward`. The
prompt is not wrapped in a chat turn: the processor's template only supplies the text up to the video, because
the authors measure 47 % lower VOC with the whole template on Qwen3-VL-8B.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from rabc.errors import InputError

if TYPE_CHECKING:
    from transformers import BatchFeature
    from transformers.models.qwen3_vl import Qwen3VLProcessor

STATEMENT = "The above video shows a robot manipulation trajectory that completes the following task: "
QUESTION = " Decide whether the above statement is True or not. The answer is:"
ANSWERS = (" True", " False")
TEMPLATE = f"{STATEMENT}{{instruction}}{QUESTION}{ANSWERS[0]}"


def check_instruction(instruction: str) -> None:
    """Refuses an empty instruction (InputError): the model would judge an empty statement."""
    if not instruction.strip():
        raise InputError(f"instruction {instruction!r}: is empty; give the task as a sentence")


def opening(processor: "Qwen3VLProcessor") -> str:
    """Text up to and including the statement: one user turn of the chat template, cut before its end."""
    message: Any = {
        "role": "user",
        "content": [{"type": "video", "video": ""}, {"type": "text", "text": STATEMENT}],
    }
    chat = processor.apply_chat_template([message], tokenize=False, add_generation_prompt=False)
    return str(chat).split(_tokenizer(processor).eos_token)[0]


def full_text(processor: "Qwen3VLProcessor", instruction: str) -> str:
    """The prompt with its answer ` True` as the last token; one video placeholder in front."""
    return f"{opening(processor)}{instruction}{QUESTION}{ANSWERS[0]}"


def tail_ids(processor: "Qwen3VLProcessor", instruction: str) -> list[int]:
    """Token ids after the video, without the answer.

    Tokenising the tail alone is exact because the video ends with a special token, across which nothing
    merges.
    """
    text = f"{STATEMENT}{instruction}{QUESTION}{ANSWERS[0]}"
    return _ids(processor, text)[:-1]


def answer_ids(processor: "Qwen3VLProcessor") -> tuple[int, int]:
    """Token ids of ` True` and ` False` as the tokenizer merges them after the question.

    Raises InputError if an answer is more than one token: its probability would not be one number.
    """
    true, false = (_ids(processor, QUESTION + answer) for answer in ANSWERS)
    if len(true) != len(false) or true[:-1] != false[:-1] or true[-1] == false[-1]:
        raise InputError(
            "scorer tokenizer: ' True' and ' False' are not single tokens after the question; "
            "use a model of the Qwen3-VL family"
        )
    return true[-1], false[-1]


def resize_frames(processor: "Qwen3VLProcessor", frames: torch.Tensor) -> torch.Tensor:
    """Resizes a whole sampled clip, uint8 (S, 3, H, W), as the video processor would, once for all its
    prefixes.

    The processor's pixel budget is per clip: it shrinks long clips and enlarges short ones, so that prefixes
    of one episode would be judged on different pixels. Raises InputError for frames below one patch.
    """
    from transformers.image_utils import SizeDict
    from transformers.models.qwen3_vl.video_processing_qwen3_vl import smart_resize

    video: Any = processor.video_processor  # pyright: ignore[reportAttributeAccessIssue]
    count, _, height, width = frames.shape
    if not video.do_resize:
        return frames
    try:
        new_height, new_width = smart_resize(
            count, height, width, video.temporal_patch_size, video.patch_size * video.merge_size,
            video.size["shortest_edge"], video.size["longest_edge"],
        )  # fmt: skip
    except ValueError as error:
        raise InputError(f"frames {height}x{width}: {error}; use larger frames") from error
    if (new_height, new_width) == (height, width):
        return frames
    return video.resize(frames, size=SizeDict(height=new_height, width=new_width), resample=video.resample)


def encode(
    processor: "Qwen3VLProcessor",
    texts: Sequence[str],
    clips: Sequence[torch.Tensor],
    frame_indices: Sequence[NDArray[np.int64]],
    fps: float,
    tensors: bool = True,
) -> "BatchFeature":
    """Runs the processor on already resized clips.

    texts: one prompt per clip; clips: uint8 (S, 3, H, W); frame_indices: (S,) index of each frame in the raw
    video of rate `fps` (Hz), from which the processor writes the true time of every pair. An odd number of
    frames is made even by the processor, which repeats the last frame and its index. tensors=False leaves the
    token ids as lists, for clips of several lengths.
    """
    metadata = [
        # A fresh list: the processor appends the repeated index of an odd clip to the list it is given.
        {"total_num_frames": int(index[-1]) + 1, "fps": float(fps), "frames_indices": [int(i) for i in index]}
        for index in frame_indices
    ]
    call: Any = processor
    return call(
        text=list(texts), videos=list(clips), video_metadata=metadata, do_sample_frames=False,
        do_resize=False, return_tensors="pt" if tensors else None,
    )  # fmt: skip


def _tokenizer(processor: "Qwen3VLProcessor") -> Any:
    return processor.tokenizer  # pyright: ignore[reportAttributeAccessIssue]


def _ids(processor: "Qwen3VLProcessor", text: str) -> list[int]:
    return list(_tokenizer(processor)(text, add_special_tokens=False)["input_ids"])
