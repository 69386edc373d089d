"""TOPReward on a real, small Qwen3-VL: schedule, prompt, image size, loading, parity with LeRobot."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from lerobot.rewards.topreward.configuration_topreward import TOPRewardConfig
from lerobot.rewards.topreward.modeling_topreward import TOPRewardModel
from lerobot.rewards.topreward.processor_topreward import TOPRewardEncoderProcessorStep
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file

from rabc.scoring.prompt import QUESTION, answer_ids, encode, full_text, resize_frames
from rabc.scoring.schedule import prefix_ends, sample_frame_indices
from rabc.scoring.small import architecture
from rabc.scoring.small.train import save_scorer
from rabc.scoring.topreward import TOPReward
from rabc.system.errors import InputError

TASK = "Pick up the red cube."


def random_frames(count: int, size: int = 96, seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 255, (count, 3, size, size), dtype=np.uint8)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    processor = architecture.build_processor()
    model = architecture.build_model(
        processor, 0, width=96, layers=2, heads=3, vision_width=64, vision_layers=2
    )
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.mul_(4.0)  # so that the answer depends on what is seen
    path = tmp_path_factory.mktemp("scorer") / "tiny"
    save_scorer(model, processor, path)
    return path


@pytest.fixture(scope="module")
def scorer(folder: Path) -> TOPReward:
    return TOPReward.from_pretrained(str(folder))


@given(st.integers(1, 300), st.integers(1, 300), st.sampled_from([10.0, 15.0, 24.0, 29.97, 30.0, 50.0]))
def test_schedule_is_prefix_stable_on_time_and_sees_the_last_frame(
    shorter: int, longer: int, fps: float
) -> None:
    shorter, longer = sorted((shorter, longer))
    few, many = (sample_frame_indices(count, fps, 2.0) for count in (shorter, longer))
    assert np.array_equal(few[:-1], many[: len(few) - 1])
    assert (few[-1], many[-1]) == (shorter - 1, longer - 1)
    assert many[0] == 0
    assert np.all(np.diff(many) > 0)
    assert np.abs(many[:-1] / fps - np.arange(len(many) - 1) / 2.0).max(initial=0) <= 0.5 / fps + 1e-9
    assert np.diff(many).max(initial=0) < fps / 2.0 + 1


def test_schedule_by_hand() -> None:
    assert sample_frame_indices(11, 10.0, 5.0).tolist() == [0, 2, 4, 6, 8, 10]
    assert sample_frame_indices(12, 10.0, 5.0).tolist() == [0, 2, 4, 6, 8, 10, 11]
    assert sample_frame_indices(16, 10.0, 4.0).tolist() == [0, 3, 5, 8, 10, 13, 15]
    assert sample_frame_indices(44, 30.0, 2.0).tolist() == [0, 15, 30, 43]
    assert sample_frame_indices(3, 2.0, 5.0).tolist() == [0, 1, 2]
    assert sample_frame_indices(1, 30.0, 2.0).tolist() == [0]


@given(st.integers(1, 600), st.integers(1, 30), st.sampled_from([1, 2]))
def test_prefix_ends_are_snapped_and_deduplicated(count: int, num_prefixes: int, group: int) -> None:
    indices = sample_frame_indices(count, 10.0, 5.0)
    ends = prefix_ends(indices, count, num_prefixes, group)
    ideal = np.linspace(0, count - 1, num_prefixes) if num_prefixes > 1 else np.array([count - 1.0])
    distance = np.abs(ideal[:, None] - indices[ends - 1]).min(axis=1)[:-1]
    assert np.all(distance <= 1 if group == 1 else distance <= max(1, count / num_prefixes / 4 + 1))
    if group == 2 and len(indices) > 4 * num_prefixes:
        assert np.all(ends[1:-1] % 2 == 0)
    assert ends[-1] == len(indices)
    assert 1 <= len(ends) <= num_prefixes
    assert np.all(np.diff(ends) > 0)
    if num_prefixes > 1:
        assert ends[0] == 1
    if 1 < num_prefixes <= len(indices) // 2:
        assert len(ends) == num_prefixes


def test_prefix_lengths_count_frames_of_the_input(scorer: TOPReward) -> None:
    scores = scorer.score(random_frames(12), TASK, fps=10.0, num_prefixes=15)
    assert scorer.sample_fps == 5.0
    assert scores.prefix_lengths.tolist() == [1, 3, 5, 7, 9, 11, 12]
    assert scores.prefix_lengths.dtype == np.int64
    assert scores.log_prob_true.dtype == scores.log_prob_false.dtype == np.float64
    assert np.all(scores.log_prob_true < 0)
    assert np.ptp(scores.log_prob_true) > 1e-3


def test_scores_of_a_prefix_do_not_depend_on_what_follows(scorer: TOPReward) -> None:
    frames = random_frames(21)
    whole = scorer.score(frames, TASK, 10.0, 30)
    for length, same in ((11, 6), (12, 6)):  # of 12 frames the last is not one that the whole video shows
        part = scorer.score(frames[:length], TASK, 10.0, 30)
        assert part.prefix_lengths[-1] == length
        assert np.allclose(part.log_prob_true[:same], whole.log_prob_true[:same], atol=1e-5)


def test_it_reads_frames_and_instruction(scorer: TOPReward) -> None:
    frames = random_frames(8)
    first = scorer.score(frames, TASK, 10.0, 2).log_prob_true[-1]
    assert abs(first - scorer.score(frames, "Pick up the blue cube.", 10.0, 2).log_prob_true[-1]) > 1e-4
    assert abs(first - scorer.score(frames[::-1], TASK, 10.0, 2).log_prob_true[-1]) > 1e-4


def test_true_times_are_written_and_an_odd_last_frame_repeated(scorer: TOPReward) -> None:
    indices = np.array([0, 15, 30])
    inputs = encode(
        scorer.processor,
        full_text(scorer.processor, TASK),
        torch.from_numpy(random_frames(3)),
        indices,
        30.0,
    )
    tokenizer: Any = scorer.processor.tokenizer
    text = tokenizer.decode(inputs["input_ids"][0])
    assert "<0.2 seconds>" in text  # mean of 0 and 0.5 s
    assert "<1.0 seconds>" in text  # frame 30 with itself
    assert inputs["video_grid_thw"].tolist() == [[2, 6, 6]]
    # Patches hold both frames of a pair side by side.
    last = inputs["pixel_values_videos"][36:].view(36, 3, 2, 16, 16)
    assert torch.equal(last[:, :, 0], last[:, :, 1])
    assert text.endswith("completes the following task: " + TASK + QUESTION + " True")
    assert text.startswith("<|im_start|>user\n<0.2 seconds>")


@pytest.mark.parametrize(
    ("count", "shortest", "longest"),
    [(8, 1024, 8 * 64 * 64), (8, 16 * 128 * 128, 10**9), (3, 16 * 128 * 128, 10**9)],
)
def test_one_image_size_per_episode_is_the_processors_own(count: int, shortest: int, longest: int) -> None:
    processor = architecture.build_processor()
    video: Any = processor.video_processor
    video.size = {"shortest_edge": shortest, "longest_edge": longest}
    frames = torch.from_numpy(random_frames(count))
    resized = resize_frames(processor, frames)
    native = video(videos=[frames], do_sample_frames=False, return_tensors="pt")
    ours = encode(processor, full_text(processor, TASK), resized, np.arange(count), 10.0)
    assert torch.equal(resize_frames(processor, resized), resized)
    assert torch.equal(torch.cat([resize_frames(processor, frame[None], count) for frame in frames]), resized)
    assert resized.shape[-1] != 96
    assert torch.equal(ours["video_grid_thw"], native["video_grid_thw"])
    assert torch.equal(ours["pixel_values_videos"], native["pixel_values_videos"])


def test_prefixes_of_one_episode_see_the_same_pixels(folder: Path, tmp_path: Path) -> None:
    """With the processor's own budget per clip, the short prefix would be enlarged and score differently."""
    path = tmp_path / "budget"
    shutil.copytree(folder, path)
    settings = json.loads((path / "processor_config.json").read_text())
    settings["video_processor"]["size"] = {"shortest_edge": 1024, "longest_edge": 10 * 64 * 64}
    (path / "processor_config.json").write_text(json.dumps(settings))
    scorer = TOPReward.from_pretrained(str(path), fps=10.0)
    frames = torch.from_numpy(random_frames(10))
    shrunk = resize_frames(scorer.processor, frames)
    assert shrunk.shape[-2:] == (64, 64)
    whole = scorer.score(frames, TASK, 10.0, 5)
    alone = scorer.score(shrunk[:1], TASK, 10.0, 1)
    assert whole.log_prob_true[0] == pytest.approx(alone.log_prob_true[0], abs=1e-5)


@pytest.mark.parametrize("count", [4, 7])
def test_parity_with_lerobot(folder: Path, count: int) -> None:
    frames = random_frames(count, seed=count)
    model = TOPRewardModel(TOPRewardConfig(vlm_name=str(folder), torch_dtype="float32", device="cpu"))
    step = TOPRewardEncoderProcessorStep(vlm_name=str(folder), image_key="video", max_frames=None, fps=10.0)
    transition: Any = {
        "observation": {"video": torch.from_numpy(frames)[None]},
        "complementary_data": {"task": TASK},
    }
    theirs = model.compute_reward(step(transition)["observation"])
    ours = TOPReward.from_pretrained(str(folder), fps=10.0).score(frames, TASK, 10.0, 3)
    assert ours.prefix_lengths[-1] == count
    assert ours.log_prob_true[-1] == pytest.approx(float(theirs[0]), abs=1e-5)


def test_identity_follows_the_content(folder: Path, tmp_path: Path, scorer: TOPReward) -> None:
    path = tmp_path / folder.name
    shutil.copytree(folder, path)
    (path / "README.md").write_text("a model card")
    assert TOPReward.from_pretrained(str(path)).identity == scorer.identity
    assert TOPReward.from_pretrained(str(path), fps=2.0).identity != scorer.identity
    config = json.loads((path / "config.json").read_text())
    (path / "config.json").write_text(json.dumps({**config, "note": 1}))
    assert TOPReward.from_pretrained(str(path)).identity["revision"] != scorer.identity["revision"]


def remove(name: str) -> Callable[[Path], None]:
    return lambda path: (path / name).unlink()


def another_model(path: Path) -> None:
    (path / "config.json").write_text(json.dumps({"model_type": "bert"}))


def truncated_weights(path: Path) -> None:
    with (path / "model.safetensors").open("r+b") as file:
        file.truncate(1000)


def lost_weight(path: Path) -> None:
    weights = load_file(path / "model.safetensors")
    weights.popitem()
    save_file(weights, path / "model.safetensors", metadata={"format": "pt"})


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (remove("tokenizer.json"), "has no tokenizer"),
        (remove("config.json"), r"has no config\.json"),
        (remove("processor_config.json"), "has no processor"),
        (remove("model.safetensors"), r"has no \*\.safetensors"),
        (another_model, "is a bert"),
        (truncated_weights, "cannot be loaded"),
        (lost_weight, "1 of its weights are missing"),
    ],
)
def test_a_damaged_scorer_folder_is_one_line(
    folder: Path, tmp_path: Path, damage: Callable[[Path], None], message: str
) -> None:
    path = tmp_path / "damaged"
    shutil.copytree(folder, path)
    damage(path)
    with pytest.raises(InputError, match=message) as caught:
        TOPReward.from_pretrained(str(path))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["./nowhere", "/nowhere/at/all", "tests/nowhere", "nowhere"])
def test_a_missing_scorer_folder_does_not_ask_the_hub(name: str) -> None:
    with pytest.raises(InputError, match="no such folder"):
        TOPReward.from_pretrained(name)


def test_bad_input_to_score(scorer: TOPReward) -> None:
    with pytest.raises(InputError, match="is empty"):
        scorer.score(random_frames(4), "  ", 10.0, 2)
    with pytest.raises(InputError, match="nothing to score"):
        scorer.score(random_frames(0), TASK, 10.0, 2)
    with pytest.raises(InputError, match="num_prefixes -1"):
        scorer.score(random_frames(4), TASK, 10.0, -1)
    with pytest.raises(InputError, match="must be uint8"):
        scorer.score(torch.rand(4, 3, 96, 96), TASK, 10.0, 2)
    with pytest.raises(InputError, match="frames 16x16"):
        scorer.score(random_frames(4, size=16), TASK, 10.0, 2)


def test_answers_must_be_single_tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    assert len(set(answer_ids(architecture.build_processor()))) == 2
    monkeypatch.setattr(architecture, "WORDS", (" up",))
    with pytest.raises(InputError, match="not two different single tokens"):
        answer_ids(architecture.build_processor())
