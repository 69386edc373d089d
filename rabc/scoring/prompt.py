"""TOPReward's prompt, its answer tokens, and the video as the model sees it.

Prompt and answer token: TOPReward (arXiv 2602.19313), public code and LeRobot's `rewards/topreward`. The
prompt is not wrapped in a chat turn: the processor's template only supplies the text up to the video, because
the authors measure 47 % lower VOC with the whole template on Qwen3-VL-8B.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jinja2 import TemplateError
from numpy.typing import NDArray

from rabc.system.errors import InputError

if TYPE_CHECKING:
    from transformers import BatchFeature

STATEMENT = "The above video shows a robot manipulation trajectory that completes the following task: "
QUESTION = " Decide whether the above statement is True or not. The answer is:"


@dataclass(frozen=True)
class Prompt:
    """How the question is put."""

    answers: tuple[str, str] = ("True", "False")
    """The answer whose probability is the score, and its opposite; one token each."""
    chat_template: bool = False
    """Wrap the question in a whole user turn of the model's chat template, the answer in the model's."""

    @property
    def text(self) -> str:
        """The prompt in words, for the record."""
        turn = "user turn: " if self.chat_template else ""
        return f"{turn}{STATEMENT}{{instruction}}{QUESTION}{'/'.join(self.endings)}"

    @property
    def endings(self) -> tuple[str, str]:
        """The answers as they follow the question."""
        space = "" if self.chat_template else " "
        return space + self.answers[0], space + self.answers[1]


PROMPT = Prompt()


def check_instruction(processor: Any, instruction: str) -> None:
    """Refuses an instruction that would not be read as words (InputError).

    An empty one: the model would judge an empty statement. One with a special token of the tokenizer, such as
    the end of a turn or the place of a picture: the model would read a turn or a picture, not the task.
    """
    if not instruction.strip():
        raise InputError(f"instruction {instruction!r}: is empty; give the task as a sentence")
    found = next((token for token in _special_tokens(processor) if token in instruction), None)
    if found is not None:
        raise InputError(
            f"instruction {instruction!r}: holds {found}, which the scorer reads as a command, not as words; "
            "give the task in plain words (`lerobot-edit-dataset --operation.type=modify_tasks` changes it)"
        )


def _special_tokens(processor: Any) -> list[str]:
    """Pieces of text that the tokenizer takes for one token that is no text."""
    added = processor.tokenizer.added_tokens_decoder.values()
    marked = {token.content for token in added if token.special}
    placeholders = {str(getattr(processor, f"{kind}_token", "")) for kind in ("image", "video", "audio")}
    return sorted(token for token in marked | placeholders if token.strip())


def full_text(processor: Any, instruction: str, prompt: Prompt = PROMPT) -> str:
    """The prompt with its answer as the last token; one video placeholder in front."""
    return question_text(processor, instruction, prompt) + prompt.endings[0]


def question_text(processor: Any, instruction: str, prompt: Prompt = PROMPT) -> str:
    """The prompt up to its answer. Raises InputError as `check_instruction`."""
    check_instruction(processor, instruction)
    if prompt.chat_template:
        return _chat(processor, f"{STATEMENT}{instruction}{QUESTION}", add_generation_prompt=True)
    # Templates may strip the text of a turn; the statement's own last blank belongs to the prompt.
    before, statement, _ = _chat(processor, STATEMENT, False).rpartition(STATEMENT.rstrip())
    return f"{before}{statement} {instruction}{QUESTION}"


def around_video(processor: Any, instruction: str, prompt: Prompt = PROMPT) -> tuple[list[int], list[int]]:
    """Token ids before and after Qwen3-VL's video placeholder, without the answer.

    Tokenising the parts alone is exact: the placeholder is written with special tokens, across which nothing
    merges, and begins with `<` behind the template's line break.
    """
    picture = f"{processor.vision_start_token}{processor.video_token}{processor.vision_end_token}"
    before, _, after = question_text(processor, instruction, prompt).partition(picture)
    # With the answer, because the last token before it must be the one it follows.
    return token_ids(processor, before), token_ids(processor, after + prompt.endings[0])[:-1]


def answer_ids(processor: Any, prompt: Prompt = PROMPT) -> tuple[int, int]:
    """Token ids of the two answers as the tokenizer merges them behind the question.

    Raises InputError if an answer is more than one token: its probability would not be one number.
    """
    before = "\n" if prompt.chat_template else QUESTION
    true, false = (token_ids(processor, before + ending) for ending in prompt.endings)
    if len(true) != len(false) or true[:-1] != false[:-1] or true[-1] == false[-1]:
        raise InputError(
            f"scorer.answers {','.join(prompt.answers)}: are not two different single tokens of this model's "
            "tokenizer; set scorer.answers to two words that are, e.g. Yes,No"
        )
    return true[-1], false[-1]


def token_ids(processor: Any, text: str) -> list[int]:
    """Token ids of a piece of text, nothing added."""
    return list(processor.tokenizer(text, add_special_tokens=False)["input_ids"])


def _chat(processor: Any, text: str, add_generation_prompt: bool) -> str:
    content = [{"type": "video", "video": ""}, {"type": "text", "text": text}]
    try:
        return str(
            processor.apply_chat_template(
                [{"role": "user", "content": content}],
                tokenize=False,
                add_generation_prompt=add_generation_prompt,
            )
        )
    # A template is a program of the model's folder, in a sandbox: what it must not reach is an error, too.
    except (
        TemplateError, TypeError, ValueError, ArithmeticError, LookupError, AttributeError, RecursionError,
    ) as error:  # fmt: skip
        raise InputError(
            f"scorer: its chat template cannot be rendered ({error}); copy the folder from its authors"
        ) from error


def resize_frames(processor: Any, frames: torch.Tensor, count: int | None = None) -> torch.Tensor:
    """Resizes frames, uint8 (n, 3, H, W), as the video processor would resize a clip of `count` frames (n if
    None), once for all its prefixes. Doing it twice changes nothing more.

    The processor's pixel budget is per clip: it shrinks long clips and enlarges short ones, so that prefixes
    of one episode would be judged on different pixels. Raises InputError for frames below one patch.
    """
    from transformers.image_utils import SizeDict
    from transformers.models.qwen3_vl.video_processing_qwen3_vl import smart_resize

    video: Any = processor.video_processor
    own, _, height, width = frames.shape
    if not video.do_resize:
        return frames
    try:
        new_height, new_width = smart_resize(
            count or own, height, width, video.temporal_patch_size, video.patch_size * video.merge_size,
            video.size["shortest_edge"], video.size["longest_edge"],
        )  # fmt: skip
    except ValueError as error:
        raise InputError(f"frames {height}x{width}: {error}; use larger frames") from error
    if (new_height, new_width) == (height, width):
        return frames
    return video.resize(frames, size=SizeDict(height=new_height, width=new_width), resample=video.resample)


def encode(
    processor: Any,
    text: str,
    frames: torch.Tensor,
    frame_indices: NDArray[np.int64],
    fps: float,
    do_resize: bool = False,
) -> "BatchFeature":
    """Runs the processor on one prompt and its clip.

    frames: uint8 (S, 3, H, W), already resized unless `do_resize`; frame_indices: (S,) index of each frame in
    the raw video of rate `fps` (Hz), from which Qwen3-VL's processor writes the true time of every pair. An
    odd number of frames is made even by it: it repeats the last frame and its index.
    """
    # A fresh list: the processor appends the repeated index of an odd clip to the list it is given.
    metadata = {
        "total_num_frames": int(frame_indices[-1]) + 1,
        "fps": float(fps),
        "frames_indices": [int(i) for i in frame_indices],
    }
    options: dict[str, Any] = {} if do_resize else {"do_resize": False}
    return processor(
        text=[text], videos=[frames], video_metadata=[metadata], do_sample_frames=False, return_tensors="pt",
        **options,
    )  # fmt: skip
