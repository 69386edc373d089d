"""Training clips and the training of the small scorer."""

import runpy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoModelForImageTextToText, AutoProcessor

from rabc.scoring.small import architecture
from rabc.scoring.small.alignment import ColorAlignment, color_pixels
from rabc.scoring.small.clips import (
    LOG_PROB_SPAN,
    MAX_TICKS,
    MIN_TICKS,
    PLACE_MAX_TICKS,
    ScorerEpisode,
    glance,
    training_clip,
    warp,
)
from rabc.scoring.small.making import ScorerFacts, make_scorer, model_card
from rabc.scoring.small.report import ScorerReport
from rabc.scoring.small.train import Curriculum, TrainingResult, clip_loss, save_scorer, train
from rabc.sim.environment import COLORS, Scene, Simulator
from rabc.system.errors import InputError
from tests.support import REPO

PLACE_RED = "Pick up the red cube, center it on the black circle, and release it onto the table."


def episode(seed: int, length: int = 40, color: str = "red") -> ScorerEpisode:
    """A square moves up with progress; every frame carries its own number in a corner."""
    frames = np.zeros((length, 3, 96, 96), np.uint8)
    progress = np.sin(np.linspace(0, np.pi * (0.5 + seed % 2), length)).clip(0, 1)
    for t in range(length):
        top = int(70 * (1 - progress[t]))
        frames[t, 0 if color == "red" else 2, top : top + 20, 40:60] = 255
        frames[t, 1, :4, :4] = t
    return ScorerEpisode(frames, progress, color, ("green",))


@given(st.integers(1, 150), st.integers(0, 10_000))
def test_warped_clips_keep_within_bounds(length: int, seed: int) -> None:
    source = warp(length, np.random.default_rng(seed))
    assert MIN_TICKS <= len(source) <= MAX_TICKS
    assert source.min() >= 0
    assert source.max() < length


def test_warps_include_static_reversed_and_paused_clips() -> None:
    sources = [warp(60, np.random.default_rng(seed)) for seed in range(300)]
    static = [source for source in sources if np.ptp(source) == 0]
    assert 20 < len(static) < 90
    assert any(source[0] == 0 for source in static)
    assert sum(source[0] > source[-1] for source in sources) > 5
    assert sum(np.ptp(s) > 0 and (np.diff(s) == 0).sum() >= 5 for s in sources) > 20


@given(st.integers(0, 10_000))
def test_labels_follow_the_frames(seed: int) -> None:
    source = episode(seed)
    item = training_clip(source, ["blue", "green", "red"], 5.0, 6, np.random.default_rng(seed))
    clip = item.clip
    shown = clip.frames[clip.ends - 1, 1, 0, 0].numpy().astype(int)
    expected = -LOG_PROB_SPAN * (1 - source.progress[shown])
    assert np.allclose(item.log_prob[0].numpy(), expected, atol=1e-6)
    assert item.log_prob[1:, -1].tolist() == [-LOG_PROB_SPAN, 0.0, -LOG_PROB_SPAN]
    assert torch.all(item.log_prob[1:] == item.log_prob[1:, :1])
    assert clip.instructions[2] in ("the red cube.", "the green cube.")
    assert clip.instructions[3] == "the blue cube."
    assert clip.instructions[0] == "Pick up the red cube."
    assert clip.instructions[1] in ("Pick up the green cube.", "Pick up the blue cube.")
    assert clip.ends[-1] == len(clip.frames)
    assert all(end % 2 == 0 for end in clip.ends[:-1])
    assert len(clip.ends) <= 6


@given(st.integers(0, 10_000))
def test_a_glance_is_labelled_with_its_last_frame(seed: int) -> None:
    source = episode(seed)
    item = glance(source, ["blue", "green", "red"], 5.0, np.random.default_rng(seed))
    assert item.clip.ends.tolist() == [len(item.clip.frames)]
    last = int(item.clip.frames[-1, 1, 0, 0])
    assert item.log_prob[0, 0] == pytest.approx(-LOG_PROB_SPAN * (1 - source.progress[last]), abs=1e-6)
    shown = item.clip.frames[:, 1, 0, 0].numpy().astype(int)
    assert np.all((np.diff(shown) == 2) | ((np.diff(shown) <= 2) & (shown[:-1] == 0)))  # 5 Hz out of 10


def test_pixels_tell_which_cubes_the_simulator_shows() -> None:
    with Simulator(COLORS) as simulator:
        for seed in range(6):
            present = COLORS[seed % 3 : seed % 3 + 1 + seed % 4]
            simulator.reset(seed, Scene(present[0], present[1:]))
            frame = torch.from_numpy(simulator.render("front").transpose(2, 0, 1).copy())[None]
            counts = color_pixels(frame, COLORS)
            assert counts.shape == (9, len(COLORS))
            assert {c for c, n in zip(COLORS, counts.sum(0).tolist(), strict=True) if n >= 3} == set(present)


@pytest.mark.parametrize("step", ["scorer_episodes", "train"])
def test_memory_that_runs_out_is_a_line_with_the_options(
    step: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the episodes, which are held in memory, and of the training's own."""

    def too_much(*_: Any, **__: Any) -> Any:
        return np.empty(2**60, np.uint8) if step == "scorer_episodes" else torch.empty(2**60)

    monkeypatch.setattr(f"rabc.scoring.small.making.{step}", too_much)
    if step == "train":
        monkeypatch.setattr("rabc.scoring.small.making.scorer_episodes", lambda *_, **__: [])
    with pytest.raises(InputError) as told:
        make_scorer(tmp_path / "scorer", tmp_path / "data", 1, 1, Curriculum(1, 1, 1), 0, 0)
    assert str(told.value).startswith("training a scorer: memory ran out (")
    assert "; give fewer --episodes and --test_episodes" in str(told.value)
    assert "\n" not in str(told.value)


def test_seeing_costs_nothing_where_tokens_are_the_right_words() -> None:
    processor, model = build()
    alignment = ColorAlignment(processor, ["red", "blue"])
    frames = torch.full((1, 3, 96, 96), 120, dtype=torch.uint8)
    frames[0, :, 40:50, 40:50] = torch.tensor([200, 0, 0], dtype=torch.uint8)[:, None, None]
    words = model.get_input_embeddings()(alignment.words).detach()
    blank = torch.randn(words.shape[1], generator=torch.Generator().manual_seed(0))
    blank -= torch.linalg.lstsq(words.T, blank[:, None]).solution[:, 0] @ words  # orthogonal to both words
    features = blank.repeat(9, 1)
    blind = float(alignment(model, features, frames))
    features[4] = words[0]
    seeing = float(alignment(model, features, frames))
    features[4] = words[1]
    wrong = float(alignment(model, features, frames))
    assert seeing < blind < wrong


def test_attention_begins_by_matching_like_with_like() -> None:
    _, model = build()
    attention = model.model.language_model.layers[0].self_attn
    token = torch.randn(1, model.config.text_config.hidden_size)
    query = attention.q_proj(token).view(-1, attention.head_dim)
    key = attention.k_proj(token).view(-1, attention.head_dim)
    assert torch.allclose(query, key.repeat_interleave(len(query) // len(key), dim=0))


def test_loss_is_zero_only_on_target() -> None:
    target = torch.tensor([[-4.0, -1.0, -1e-3]])
    exact = torch.stack([target, torch.log1p(-target.exp())], dim=-1)
    assert float(clip_loss(exact, target)) == pytest.approx(0, abs=1e-6)
    assert float(clip_loss(exact - 0.5, target)) > 0.1
    certain = torch.zeros(1, 1)
    assert torch.isfinite(clip_loss(torch.tensor([[[-0.1, -3.0]]]), certain))


def test_a_scorer_of_placing_is_asked_its_instruction() -> None:
    frames = np.zeros((200, 3, 96, 96), np.uint8)
    episode = ScorerEpisode(frames, np.linspace(0, 1, 200), "red", ("green",), task="place")
    item = training_clip(episode, ["blue", "green", "red"], 5.0, 6, np.random.default_rng(0))
    assert item.clip.instructions[0] == PLACE_RED
    assert item.clip.instructions[1] in [PLACE_RED.replace("red", color) for color in ("green", "blue")]
    lengths = [len(warp(200, np.random.default_rng(seed), PLACE_MAX_TICKS)) for seed in range(200)]
    assert MAX_TICKS < max(lengths) <= PLACE_MAX_TICKS


def test_the_fixed_end_of_its_instruction_is_one_token() -> None:
    pick: Any
    place: Any
    pick, place = architecture.build_tokenizer(), architecture.build_tokenizer("place")
    assert place.decode(place(PLACE_RED)["input_ids"]) == PLACE_RED
    assert len(place(PLACE_RED)["input_ids"]) < len(pick(PLACE_RED)["input_ids"]) - 10
    assert len(place) == len(pick) + 1


def build() -> tuple[Any, Any]:
    processor = architecture.build_processor()
    return processor, architecture.build_model(
        processor, 1, width=96, layers=1, heads=3, vision_width=64, vision_layers=2
    )


class StopsAfter(list[ScorerEpisode]):
    """Episodes that end the process, as a kill would, after 30 reads: in the fifth step of a small batch."""

    reads = 0

    def __getitem__(self, index: Any) -> Any:
        self.reads += 1
        if self.reads > 30:
            raise KeyboardInterrupt
        return super().__getitem__(index)


def run(
    checkpoint: Path, episodes: list[ScorerEpisode], steps: int, batch_size: int = 2, **options: Any
) -> tuple[Any, TrainingResult]:
    processor, model = build()
    curriculum = Curriculum(align=steps // 6, glances=steps // 3, clips=steps - steps // 6 - steps // 3)
    result = train(
        model, processor, episodes, checkpoint, curriculum, batch_size=batch_size, num_ends=3, warmup_steps=2,
        show_progress=False, **options,
    )  # fmt: skip
    return model, result


def test_a_killed_training_goes_on_exactly(tmp_path: Path) -> None:
    episodes = [episode(seed, 20, color) for seed, color in enumerate(("red", "blue", "red"))]
    whole, _ = run(tmp_path / "whole.pt", episodes, 6, batch_size=1)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "killed.pt", StopsAfter(episodes), 6, batch_size=1, checkpoint_seconds=0.0)
    assert torch.load(tmp_path / "killed.pt", weights_only=True)["step"] == 4
    resumed, result = run(tmp_path / "killed.pt", episodes, 6, batch_size=1)
    assert result.steps == 6
    for (name, ours), theirs in zip(whole.named_parameters(), resumed.parameters(), strict=True):
        assert torch.equal(ours, theirs), name


def test_training_lowers_the_loss(tmp_path: Path) -> None:
    """In float32, and in bfloat16 alike: many processors only imitate that, sixteen times as slowly."""
    episodes = [episode(seed, 20, color) for seed, color in enumerate(("red", "blue"))]
    _, early = run(tmp_path / "a.pt", episodes, 3, lr=3e-3, bfloat16=False)
    _, late = run(tmp_path / "b.pt", episodes, 40, lr=3e-3, bfloat16=False)
    assert late.loss < 0.7 * early.loss
    _, rounded = run(tmp_path / "c.pt", episodes, 3, lr=3e-3)
    assert rounded.loss == pytest.approx(early.loss, rel=2e-3)
    assert rounded.loss != early.loss


def test_a_checkpoint_of_another_training_is_refused(tmp_path: Path) -> None:
    episodes = [episode(0, 20)]
    run(tmp_path / "c.pt", episodes, 1, bfloat16=False)
    with pytest.raises(InputError, match="seed differ"):
        run(tmp_path / "c.pt", episodes, 1, seed=5)


def test_one_colour_is_refused(tmp_path: Path) -> None:
    plain = ScorerEpisode(np.zeros((8, 3, 96, 96), np.uint8), np.zeros(8), "red")
    with pytest.raises(InputError, match="at least two colours"):
        run(tmp_path / "c.pt", [plain], 1)


def test_the_shipped_size_is_below_ten_megabytes_and_loads_like_any_other(tmp_path: Path) -> None:
    processor = architecture.build_processor()
    model = architecture.build_model(processor, 0)
    folder = tmp_path / "scorer"
    for _ in range(2):  # the second time it replaces the first
        save_scorer(model, processor, folder)
    assert sum(path.stat().st_size for path in folder.iterdir()) < 10e6
    assert [path.name for path in tmp_path.iterdir()] == ["scorer"]
    with pytest.raises(InputError, match="measuring failed"):  # the scorer that was there stays
        save_scorer(model, processor, folder, card=lambda written: _fail())
    assert [path.name for path in tmp_path.iterdir()] == ["scorer"]
    save_scorer(model, processor, folder, card=lambda written: f"{len(list(written.glob('*.safetensors')))}")
    assert (folder / "README.md").read_text() == "1"
    loaded: Any = AutoModelForImageTextToText.from_pretrained(folder, dtype=torch.float32)
    again: Any = AutoProcessor.from_pretrained(folder)
    assert type(loaded).__name__ == "Qwen3VLForConditionalGeneration"
    assert again.video_processor.fps == 5.0
    text = "Pick up the café's 7 cubes."
    assert again.tokenizer.decode(again.tokenizer(text)["input_ids"]) == text
    for name, value in model.named_parameters():
        assert torch.equal(value.to(torch.bfloat16).float(), loaded.get_parameter(name)), name


def _fail() -> str:
    raise InputError("measuring failed")


@pytest.mark.parametrize("content", [None, "", "[]", '{"model_type": "act"}'])
def test_a_folder_that_holds_something_else_is_not_replaced(tmp_path: Path, content: str | None) -> None:
    folder = tmp_path / "home"
    folder.mkdir()
    (folder / "thesis.tex").write_text("years of work")
    if content is not None:
        (folder / "config.json").write_text(content)
    with pytest.raises(InputError, match="holds no Qwen3-VL"):
        make_scorer(folder, tmp_path / "data", 2, 2, Curriculum(), 0, 0)
    assert (folder / "thesis.tex").read_text() == "years of work"
    assert not (tmp_path / "data").exists()  # nothing was simulated or trained before it said so


def test_the_target_must_be_named(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    script = REPO / "scripts" / "train_scorer.py"
    for argv, message in (
        ([], "--output: missing"),
        (["--scorer.camera", "front"], "not used by this command"),
    ):
        monkeypatch.setattr("sys.argv", [str(script), *argv])
        with pytest.raises(SystemExit) as ended:
            runpy.run_path(str(script), run_name="__main__")
        assert ended.value.code == 2
        assert message in capsys.readouterr().err


def test_the_card_says_what_was_measured() -> None:
    facts = ScorerFacts("mine", 1_234_567, (64, 96), 7, ("red", "blue"), 2, Curriculum(1, 2, 3), 61.0, 4)
    measured = ScorerReport(
        episodes=10, successful=6, clean=4, voc_clean=0.95, voc_all=0.5, success_auc=0.97, real_rise=3.0,
        static_rise=0.1, static_voc=0.7, wrong_color_gap=2.5, progress_error=0.1,
    )  # fmt: skip
    card = " ".join(model_card(facts, measured).split())
    for words in (
        "# mine", "1.2 million parameters", "7 episodes", "96x64 pixels", "cubes of red, blue",
        "2 distractors",
        "| VOC, 4 clean and successful | 0.950 | >= 0.9 |", "6 successful against 4 others",
        "log p(True) is -4 (1 - simulator progress)",
    ):  # fmt: skip
        assert words in card
    assert all(holds for *_, holds in measured.checks())


@pytest.mark.parametrize("real_rise", [0.0, -0.5])
def test_a_scorer_that_does_not_rise_passes_no_static_check(real_rise: float) -> None:
    measured = ScorerReport(
        episodes=10, successful=6, clean=4, voc_clean=1, voc_all=1, success_auc=1, real_rise=real_rise,
        static_rise=0.4, static_voc=0, wrong_color_gap=5, progress_error=0,
    )  # fmt: skip
    assert [what for what, *_, holds in measured.checks() if not holds] == [
        "rise on static video / rise on the real clip, 6 successful"
    ]
