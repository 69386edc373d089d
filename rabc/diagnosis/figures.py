"""Pictures of progress: curves over a filmstrip, and rollout videos with the curve beside them."""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from einops import rearrange
from numpy.typing import NDArray

from rabc.scoring.base import PrefixScores
from rabc.system.atomic import whole_file

ORANGE, GREY, BLUE = "#d95f02", "#777777", "#1f78b4"
VIDEO_HEIGHT = 384
LITERAL = {"parse_math": False}
"""Of texts that come from data: `$` is a character of a file name or an instruction there, and no formula."""


@dataclass(frozen=True)
class Demonstration:
    """What one panel shows."""

    title: str
    frames: NDArray[np.uint8]
    """(T, 3, H, W)."""
    fps: float
    scores: PrefixScores
    truth: NDArray[np.float64] | None
    """Simulator progress (T,), 0...1, where known."""
    phases: Sequence[tuple[int, str]] = ()
    """(frame, name) of moments to mark."""
    num_frames: int | None = None
    """Frames of the video where `frames` are only some of them, evenly spread; None: all are there."""

    @property
    def duration(self) -> float:
        """From the first frame to the last, seconds."""
        return ((self.num_frames or len(self.frames)) - 1) / self.fps


def plot_progress(demonstrations: Sequence[Demonstration], path: Path, pictures: int = 10) -> None:
    """One panel a demonstration: filmstrip above, log p(True) and simulator progress below. Writes a PNG."""
    from matplotlib.figure import Figure

    figure: Any = Figure(figsize=(9, 3.1 * len(demonstrations)), layout="constrained", dpi=110)
    grid = figure.add_gridspec(2 * len(demonstrations), 1, height_ratios=[1, 2.2] * len(demonstrations))
    curves = np.concatenate([shown.scores.log_prob_true for shown in demonstrations])
    margin = 0.05 * float(np.ptp(curves)) + 0.05
    limits = (
        float(curves.min()) - margin,
        float(curves.max()) + margin,
    )  # one scale, or noise looks like progress
    for row, shown in enumerate(demonstrations):
        _strip(figure.add_subplot(grid[2 * row]), shown, pictures)
        _curve(figure.add_subplot(grid[2 * row + 1]), shown, limits)
    with whole_file(path) as partial:
        figure.savefig(partial, format=path.suffix[1:] or "png")


def _strip(axes: Any, shown: Demonstration, pictures: int) -> None:
    at = np.linspace(0, len(shown.frames) - 1, pictures).round().astype(int)
    axes.imshow(rearrange(shown.frames[at], "t c h w -> h (t w) c"))
    axes.set_title(shown.title, loc="left", fontsize=11, **LITERAL)
    axes.set_axis_off()


def _curve(axes: Any, shown: Demonstration, limits: tuple[float, float]) -> None:
    seconds = (shown.scores.prefix_lengths - 1) / shown.fps
    axes.plot(
        seconds, shown.scores.log_prob_true, "o-", color=ORANGE, markersize=3.5, label="scorer: log p(True)"
    )
    axes.set_ylabel("log p(True), nats", color=ORANGE)
    axes.set_xlabel("time, s")
    axes.set_xlim(0, shown.duration)
    marks: dict[int, list[str]] = {}
    for frame, name in shown.phases:
        marks.setdefault(frame, []).append(name)
    for frame, names in marks.items():
        axes.axvline(frame / shown.fps, color=GREY, linewidth=0.8, linestyle=":")
        text = f" {', '.join(names)}"
        axes.text(
            frame / shown.fps, limits[1], text, rotation=90, va="top", fontsize=8, color=GREY, **LITERAL
        )
    axes.set_ylim(*limits)
    if shown.truth is not None:
        right = axes.twinx()
        right.plot(np.arange(len(shown.truth)) / shown.fps, shown.truth, color=BLUE, linewidth=1.2)
        right.set_ylabel("simulator progress", color=BLUE)
        right.set_ylim(-0.05, 1.05)


def write_rollout_video(
    path: Path, frames: NDArray[np.uint8], scores: PrefixScores, fps: float, title: str
) -> None:
    """An mp4 of the frames (T, 3, H, W), enlarged, with log p(True) growing beside them."""
    import av
    from PIL import Image

    side = VIDEO_HEIGHT
    curve = _CurveImage(scores, len(frames), title, side)
    with whole_file(path) as partial, av.open(str(partial), "w") as container:
        stream: Any = container.add_stream("libx264", rate=Fraction(fps).limit_denominator(1000))
        stream.width, stream.height, stream.pix_fmt = 2 * side, side, "yuv420p"
        # mbtree: see rabc/sim/recorder.py
        stream.options = {"crf": "20", "mbtree": "0", "x264-params": "log-level=error"}
        for index, frame in enumerate(frames):
            picture = Image.fromarray(rearrange(frame, "c h w -> h w c"))
            picture = picture.resize((side, side), Image.Resampling.NEAREST)
            both = np.concatenate([np.asarray(picture), curve.until(index)], axis=1)
            for packet in stream.encode(
                av.VideoFrame.from_ndarray(np.ascontiguousarray(both), format="rgb24")
            ):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)


class _CurveImage:
    """The curve drawn once by matplotlib; each frame of the video adds a marker at its time."""

    def __init__(self, scores: PrefixScores, num_frames: int, title: str, side: int) -> None:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        self._at = np.interp(np.arange(num_frames), scores.prefix_lengths - 1, scores.log_prob_true)
        figure: Any = Figure(figsize=(side / 100, side / 100), dpi=100, layout="constrained")
        canvas = FigureCanvasAgg(figure)
        axes: Any = figure.add_subplot()
        axes.set_title(title, fontsize=10, **LITERAL)
        axes.set_xlabel("frame")
        axes.set_ylabel("log p(True), nats")
        axes.set_xlim(-0.5, max(1, num_frames - 0.5))
        low, high = float(self._at.min()), float(self._at.max())
        margin = max(0.25, 0.08 * (high - low))
        axes.set_ylim(low - margin, high + margin)
        axes.plot(scores.prefix_lengths - 1, scores.log_prob_true, color="#dddddd")
        (self._line,) = axes.plot([], [], color=ORANGE, linewidth=2)
        self._canvas = canvas

    def until(self, index: int) -> NDArray[np.uint8]:
        """(side, side, 3) with the curve drawn up to frame `index`."""
        self._line.set_data(np.arange(index + 1), self._at[: index + 1])
        self._canvas.draw()
        return np.asarray(self._canvas.buffer_rgba())[..., :3]
