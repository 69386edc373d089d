"""`rabc benchmark scoring`: exactness, parity with LeRobot, and cost of scoring all prefixes."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from rabc.benchmarks import models
from rabc.benchmarks.lines import Line, at_least, at_most, ratio, side_by_side
from rabc.benchmarks.sequential import sequential_log_probs
from rabc.scoring.base import Clip
from rabc.scoring.layout import Questions
from rabc.scoring.schedule import prefix_ends
from rabc.scoring.topreward import TOPReward

INSTRUCTION = "Pick up the red cube."
WORDS = ("Pick", "up", "the", "red", "cube", "and", "put", "it", "into", "box")


def random_frames(count: int, height: int, width: int, seed: int) -> torch.Tensor:
    """uint8 (count, 3, height, width)."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (count, 3, height, width), generator=generator, dtype=torch.uint8)


def slow(scorer: TOPReward) -> TOPReward:
    """The same scorer, one forward per prefix."""
    return replace(scorer, path="one forward per prefix")


def exactness(cases: int) -> list[Line]:
    """Two forwards against one per prefix: random sizes, lengths, batches, prefixes and instructions."""
    exact = models.random_scorer("tiny", "cpu", torch.float32, 10.0)
    half = models.random_scorer("tiny", "cpu", torch.bfloat16, 10.0)
    worst = 0.0
    done = pairs = swapped = 0
    rng = np.random.default_rng(0)
    while done < cases:
        batch = [_random_clip(rng) for _ in range(int(rng.integers(1, 4)))]
        num_prefixes = int(rng.integers(0, 8))
        found = exact.score_clips(batch, num_prefixes)
        expected = slow(exact).score_clips(batch, num_prefixes)
        for ours, theirs in zip(found, expected, strict=True):
            worst = max(worst, float(np.abs(ours.log_prob_true - theirs.log_prob_true).max()))
            worst = max(worst, float(np.abs(ours.log_prob_false - theirs.log_prob_false).max()))
        done += len(batch)
        if done % 4 == 0:
            more, wrong = _half_order(half, batch[0], found[0].log_prob_true, num_prefixes)
            pairs, swapped = pairs + more, swapped + wrong
    return [
        at_most("two forwards - one per prefix, float32", worst, 1e-4, "nats", f"largest of {done} cases"),
        at_most(
            "pairs of prefixes in another order, bfloat16", swapped, 0, "pairs",
            f"of {pairs} that differ by more than bfloat16's own error in the reference",
        ),
    ]  # fmt: skip


def _half_order(
    half: TOPReward, clip: Clip, exact: NDArray[np.float64], num_prefixes: int
) -> tuple[int, int]:
    """Pairs of prefixes that bfloat16 can tell apart, and how many of them the two paths swap."""
    fast = half.score_clips([clip], num_prefixes)[0].log_prob_true
    reference = slow(half).score_clips([clip], num_prefixes)[0].log_prob_true
    tie = 2 * float(np.abs(reference - exact).max())
    apart = np.abs(reference[:, None] - reference[None, :]) > tie
    other = np.sign(fast[:, None] - fast[None, :]) != np.sign(reference[:, None] - reference[None, :])
    return int(apart.sum()) // 2, int((apart & other).sum()) // 2


def _random_clip(rng: np.random.Generator) -> Clip:
    count = int(rng.integers(1, 13))
    fps = float(rng.choice([10.0, 15.0, 30.0]))
    height, width = (32 * int(side) for side in rng.integers(1, 5, 2))
    words = rng.choice(WORDS, int(rng.integers(1, 12)))
    length = int(np.floor((count - 1) * fps / 10.0 + 0.5)) + 1
    frames = random_frames(count, height, width, int(rng.integers(1 << 30)))
    return Clip(frames, length, fps, " ".join(words))


def parity(folder: Path) -> list[Line]:
    """Our scores against LeRobot's own TOPReward model on the same frames, size and weights."""
    from lerobot.rewards.topreward.configuration_topreward import TOPRewardConfig
    from lerobot.rewards.topreward.modeling_topreward import TOPRewardModel
    from lerobot.rewards.topreward.processor_topreward import TOPRewardEncoderProcessorStep

    path = models.save(models.random_scorer("tiny", "cpu", torch.float32, 10.0), folder / "tiny")
    ours = TOPReward.from_pretrained(str(path), fps=10.0)
    theirs = TOPRewardModel(TOPRewardConfig(vlm_name=str(path), torch_dtype="float32", device="cpu"))
    encode = TOPRewardEncoderProcessorStep(vlm_name=str(path), image_key="video", max_frames=None, fps=10.0)
    worst = 0.0
    count = 0
    for seed in range(10):
        frames = random_frames(3 + seed, 64, 96, seed)
        scores = ours.score(frames, INSTRUCTION, 10.0, 5)
        for length, value in zip(scores.prefix_lengths, scores.log_prob_true, strict=True):
            transition: Any = {
                "observation": {"video": frames[None, : int(length)]},
                "complementary_data": {"task": INSTRUCTION},
            }
            reward = float(theirs.compute_reward(encode(transition)["observation"])[0])
            worst = max(worst, abs(reward - float(value)))
            count += 1
    return [at_most("ours - LeRobot's TOPRewardModel", worst, 1e-4, "nats", f"largest of {count} prefixes")]


def cost(
    scorer: TOPReward, count: int, size: tuple[int, int], num_prefixes: int, repeats: int, bounds: bool
) -> tuple[list[Line], dict[str, Any]]:
    """Seconds of scoring a clip of `count` sampled frames in five ways, from frames to scores.

    size: height and width, pixels; bounds: whether the project's limits apply.
    """
    device = str(scorer.model.device)
    name = f"{count} frames {size[0]}x{size[1]}"
    print(name, flush=True)
    clip = Clip(random_frames(count, *size, seed=1), count, scorer.sample_fps, INSTRUCTION)
    indices = np.arange(count)
    ends = prefix_ends(indices, count, num_prefixes, 2)
    even = np.unique(np.minimum((ends + 1) // 2 * 2, count))
    questions = Questions(scorer.resize(clip.frames, count), indices, clip.fps, (INSTRUCTION,), even)
    few, every = f"all {num_prefixes} prefixes", "every frame a prefix"
    again, once = "sequential cache", "sequential cache, frames encoded once"
    seconds = side_by_side(
        {
            "one forward": (lambda: slow(scorer).score_clips([clip], 1), repeats),
            few: (lambda: scorer.score_clips([clip], num_prefixes), repeats),
            once: (lambda: sequential_log_probs(scorer, questions, encode_once=True), repeats),
            every: (lambda: scorer.score_clips([clip], 0), 1),
            again: (lambda: sequential_log_probs(scorer, questions, encode_once=False), 1),
            "one per prefix": (lambda: slow(scorer).score_clips([clip], num_prefixes), 1),
        },
        device,
    )
    limits: list[tuple[str, str, str, float | None]] = [
        (f"{few} / one forward", few, "one forward", 1.15),
        (f"one per prefix / {few}", "one per prefix", few, -5.0),
        (f"{again} / {few}", again, few, -2.0),
        (f"{once} / {few}", once, few, None),
        (f"{every} / one forward", every, "one forward", 3.0),
    ]
    lines: list[Line] = []
    for what, above, below, bound in limits:
        value, detail = ratio(seconds, above, below)
        if bound is None or not bounds:
            lines.append(Line(f"{name}: {what}", value, "x", detail=detail))
        elif bound > 0:
            lines.append(at_most(f"{name}: {what}", value, bound, "x", detail))
        else:
            lines.append(at_least(f"{name}: {what}", value, -bound, "x", detail))
    rate = count / float(np.median(seconds[few]))
    lines.append(Line(f"{name}: sampled frames per second, {few}", rate, "frames/s"))
    facts: dict[str, Any] = {"frames": count, "size": list(size), "seconds": seconds}
    if torch.device(device).type == "cuda":
        facts["peak_memory_mb"] = _peak_memory(lambda: scorer.score_clips([clip], num_prefixes))
        lines.append(Line(f"{name}: peak GPU memory", facts["peak_memory_mb"], "MB"))
    return lines, facts


def drift(scorer: TOPReward, count: int, size: tuple[int, int], num_prefixes: int) -> list[Line]:
    """How far the sequential loop and two forwards are from the reference, in the scorer's own precision."""
    clip = Clip(random_frames(count, *size, seed=2), count, scorer.sample_fps, INSTRUCTION)
    ends = prefix_ends(np.arange(count), count, num_prefixes, 2)
    ends = np.unique(np.minimum((ends + 1) // 2 * 2, count))
    questions = Questions(scorer.resize(clip.frames, count), np.arange(count), clip.fps, (INSTRUCTION,), ends)
    every = slow(scorer).score_clips([clip], 0)[0].log_prob_true[ends - 1]
    fast = scorer.score_clips([clip], 0)[0].log_prob_true[ends - 1]
    loop = sequential_log_probs(scorer, questions, encode_once=True)
    dtype = str(scorer.model.dtype).removeprefix("torch.")
    return [
        Line(f"two forwards - one per prefix, {dtype}", float(np.abs(fast - every).max()), "nats"),
        Line(f"sequential cache - one per prefix, {dtype}", float(np.abs(loop - every).max()), "nats"),
    ]


def _peak_memory(work: Any) -> float:
    torch.cuda.reset_peak_memory_stats()
    work()
    torch.cuda.synchronize()
    return torch.cuda.max_memory_allocated() / 2**20
