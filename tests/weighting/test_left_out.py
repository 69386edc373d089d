"""What was left out on the page: time lines of real demonstrations, with every segment and its reason."""

import re
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pandas as pd
import pytest

from rabc.config import cli
from rabc.config.settings import Apply, WeightsConfig
from rabc.datasets.metadata import load_meta
from rabc.pipeline import main_job
from rabc.weighting.deltas import judged_span
from rabc.weighting.page import PageFacts, render, scheme_text
from rabc.weighting.schemes import summary
from rabc.weighting.segments import REASONS, Reason, Segment
from rabc.weighting.strips import FILM_HEIGHT, film_strip
from rabc.weighting.timelines import LISTED, LeftOut, Timeline, means, reason_rows
from tests.support.browser import Browser, visible
from tests.support.recordings import EPISODE_LENGTHS

FRONT = "observation.images.front"


def page_of(
    recorded: Path, folder: Path, monkeypatch: pytest.MonkeyPatch, progress: list[float], *more: str
) -> Path:
    """Of a run on the progress of every frame."""
    monkeypatch.chdir(folder)
    episode = np.repeat(np.arange(len(EPISODE_LENGTHS)), EPISODE_LENGTHS)
    pd.DataFrame(
        {"index": np.arange(len(episode)), "episode_index": episode, "progress_sparse": progress}
    ).to_parquet("progress.parquet")
    arguments = [
        "--dataset.path", str(recorded), "--demonstrations.simulate", "false",
        "--weights.progress_file", "progress.parquet", "--policy.chunk_size", "4",
        "--policy.n_action_steps", "4", "--rollouts.episodes", "0", *more,
    ]  # fmt: skip
    return Path(main_job.run(cli.parse(arguments, "test").config, last="weights")["weights"]["page"])


def stalling(frames: int) -> list[float]:
    """Progress that stops for the middle half."""
    return np.interp(
        np.arange(frames), [0, 0.25 * frames, 0.75 * frames, frames - 1], [0, 0.5, 0.5, 1]
    ).tolist()


def test_every_segment_is_on_the_time_line_of_its_episode(
    recorded_dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chromium: Browser
) -> None:
    """Episodes 0 and 2 are of one task; 1 stalls, 3 fails."""
    lengths = EPISODE_LENGTHS
    progress = [
        *np.linspace(0, 1, lengths[0]), *stalling(lengths[1]), *np.linspace(0, 1, lengths[2]),
        *np.linspace(0, 0.2, lengths[3]),
    ]  # fmt: skip
    page = page_of(
        recorded_dataset,
        tmp_path,
        monkeypatch,
        progress,
        "--weights.scheme",
        "mask",
        "--weights.min_delta",
        "0.15",
    )
    weights = np.load(page.parent.parent / "weights.npy")
    content = page.read_text()
    texts = re.sub(r"\s+", " ", visible(content))
    assert "No chunk that begins in a segment is trained on" in texts
    sections = re.findall(r"(?s)<section.*?</section>", content)
    numbers = [int(re.findall(r"Episode (\d+)</h3>", section)[0]) for section in sections]
    assert sorted(numbers) == [1, 3]
    starts = np.cumsum([0, *lengths])
    for number, section in zip(numbers, sections, strict=True):
        own = weights[starts[number] : starts[number + 1]]
        drawn = [
            (float(x), float(x) + float(width))
            for x, width in re.findall(r'<rect class="\w+" x="([\d.]+)" y="0" width="([\d.]+)"', section)
        ]
        middles = (np.arange(len(own)) + 0.5) / len(own) * 1000
        shaded = np.array([any(low < middle < high for low, high in drawn) for middle in middles])
        assert np.array_equal(shaded, own == 0)
        assert section.count("<li>") == len(drawn)
        assert section.count("<rect") == len(drawn)
    failed = sections[numbers.index(3)]
    assert (
        "<b>0.0–1.4 s</b> <b>failed</b> the rest of an episode that ends below half: 0.00 → 0.20," in failed
    )
    assert re.search(r"<b>stall</b> progress hardly changes: 0\.\d\d → 0\.50", sections[numbers.index(1)])
    for width in (1240, 360):
        for dark in (False, True):
            seen = chromium.open(page.resolve(), width, dark=dark)
            assert (seen.complaints, seen.requests, seen.facts["beyond"]) == ([], [], [])
            assert seen.facts["broken"] == 0
    assert page.stat().st_size < 500_000


def test_windows_are_said_and_shown_around_their_action(
    recorded_dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    frames = sum(EPISODE_LENGTHS)
    progress = np.random.default_rng(0).uniform(0, 1, frames).tolist()
    page = page_of(
        recorded_dataset, tmp_path, monkeypatch, progress,
        "--weights.scheme", "mask", "--weights.apply", "ticks",
    )  # fmt: skip
    content = page.read_text()
    meta = load_meta(recorded_dataset)
    span = judged_span(WeightsConfig(apply="ticks"), 4, meta.fps, float(np.median(EPISODE_LENGTHS)))
    seconds = f"{span / meta.fps:.1f} s"
    assert f"<span>window: {span} frames, {seconds} around each action</span>" in content
    assert "<span>chunk: " not in content
    assert "pictures: where the window that judges begins, its middle, its end" in content
    assert "Left out: frames whose window gains less than 0 of progress." in content
    assert "The actions of a segment are no targets of the policy." in content
    assert f"what the {seconds} around a frame gain" in content


def test_the_rule_says_at_the_top_what_it_does(
    recorded_dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    progress = [value for length in EPISODE_LENGTHS for value in np.linspace(0, 1, length)]
    page = page_of(
        recorded_dataset,
        tmp_path,
        monkeypatch,
        progress,
        "--weights.scheme",
        "auto",
        "--weights.apply",
        "ticks",
    )
    content = page.read_text()
    assert content.index("nothing is left out: 0 % of the frames gain less than half") < content.index(
        '<div class="overview">'
    )
    assert "<section" not in content
    assert "Left out <small>" not in content


@pytest.mark.parametrize("storage", ["recorded_dataset", "recorded_pictures"])
def test_a_film_strip_shows_the_frames_it_is_asked_for(storage: str, request: pytest.FixtureRequest) -> None:
    meta = load_meta(request.getfixturevalue(storage))
    strip = film_strip(meta, FRONT, 1, np.array([2, 9, 14]))
    assert strip.shape == (FILM_HEIGHT, 3 * FILM_HEIGHT, 3)
    for place, frame in enumerate((2, 9, 14)):
        alone = film_strip(meta, FRONT, 1, np.array([frame]))
        assert np.array_equal(strip[:, place * FILM_HEIGHT : (place + 1) * FILM_HEIGHT], alone)
    assert not np.array_equal(strip[:, :FILM_HEIGHT], strip[:, FILM_HEIGHT : 2 * FILM_HEIGHT])


def timeline(found: list[Segment], length: int, progress: Any = None, strip: Any = None) -> str:
    facts = PageFacts("t", {}, "s", None, summary(np.array([0.0, 1.0])), 10.0)
    shown = Timeline(0, "Pick <b>.", None, length, found, progress, np.array([1, length // 2]), strip)
    return render(facts, [], [], LeftOut("m", "", reason_rows(found, length, 10.0), [shown], 1))


def test_a_long_episode_has_a_short_time_line() -> None:
    """Half of 100 000 frames in segments of one: the longest are shown and the others counted."""
    found = [Segment(0, start, start + 1, "stall", 0.5, 0.5, 0.0) for start in range(0, 100_000, 2)]
    found[7] = Segment(0, 14, 15, "setback", 0.6, 0.4, -0.3)
    found.append(Segment(0, 200_000, 200_009, "slow", 0.25, 0.5, 0.4))
    content = timeline(found, 300_000, np.linspace(0, 1, 300_000), np.zeros((4, 8, 3), np.uint8))
    assert len(content) < 60_000
    assert content.count("<li>") == LISTED + 1
    assert f"and {50_001 - LISTED:,} shorter ones, {(50_000 - LISTED + 1) / 10:.1f} s together" in content
    assert (
        "<b>20000.0–20000.9 s</b> <b>slow</b> gains, but slowly: 0.25 → 0.50, 40\u00a0% of an even pace"
        in content
    )
    assert "Pick &lt;b&gt;." in content


def test_a_picture_has_the_reason_of_its_segment() -> None:
    found = [Segment(0, 1, 2, "tail", 0.9, 0.9, 0.0)]
    content = timeline(found, 8, np.linspace(0, 1, 8), np.zeros((4, 8, 3), np.uint8))
    assert '<span class="tail">0.1 s</span><span>0.4 s</span>' in content
    assert '<rect class="tail" x="125.0" y="0" width="125.0"' in content
    assert "0.8 s, of which 0.1 s left out (12 %)" in content


def test_weights_of_a_file_have_segments_without_a_curve() -> None:
    content = timeline([Segment(0, 0, 4, "given")], 8)
    assert "<b>given</b> weight 0 in the file<" in content
    assert "<polyline" not in content
    assert "<img" not in content


def test_every_reason_has_its_row_and_its_colour() -> None:
    found = [Segment(0, 10 * n, 10 * n + n + 1, reason) for n, reason in enumerate(REASONS)]
    rows = reason_rows(found, 100, 10.0)
    assert [row.reason for row in rows] == list(REASONS)[::-1]
    assert [(row.count, row.seconds, row.share) for row in rows][-1] == (1, 0.1, 0.01)
    assert sum(row.share for row in rows) == pytest.approx(28 / 100)
    content = timeline(found, 100)
    reason: Reason
    for reason in REASONS:
        assert f".{reason} {{ --reason: var(--{reason}); }}" in content
        assert len(re.findall(rf"--{reason}: #[0-9a-f]{{6}};", content)) == 2  # light and dark
    two = reason_rows([Segment(0, 0, 3, "slow"), Segment(4, 2, 4, "slow")], 10, 2.0)
    assert [(row.count, row.seconds, row.share) for row in two] == [(2, 2.5, 0.5)]


def test_what_weight_0_means_follows_from_where_weights_act() -> None:
    said = {apply: means(apply) for apply in get_args(Apply)}
    assert said["loss"] == said["sampler"]
    assert len(set(said.values())) == 3
    for scheme in ("topreward", "rabc", "awr", "mask"):
        for apply, word in (("loss", "chunk"), ("cuts", "window")):
            assert word in scheme_text(WeightsConfig(scheme=scheme, apply=apply))  # pyright: ignore[reportArgumentType]
