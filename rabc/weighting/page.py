"""The weights of a run as one self-contained HTML page: figures, histogram, what is left out, moments."""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rabc.config.settings import WeightsConfig
from rabc.pages.html import jpeg, number, render_template
from rabc.weighting.moments import Moment
from rabc.weighting.schemes import WeightSummary
from rabc.weighting.task_figures import TaskFigures
from rabc.weighting.timelines import HEIGHT, MAX_POINTS, WIDTH, LeftOut, cards, judged_by


@dataclass(frozen=True)
class PageFacts:
    """What the page says about the whole."""

    title: str
    facts: Mapping[str, str]
    """name -> value, shown at the top."""
    scheme: str
    """What makes the weights, a sentence."""
    caution: str | None
    """What speaks against it on these data; None: nothing."""
    summary: WeightSummary
    fps: float
    """Of the dataset, Hz."""
    tasks: tuple[TaskFigures, ...] = ()
    """Of each task; shown where there are several."""
    remarks: tuple[str, ...] = ()
    """What was done about progress that is not there, sentences."""
    no_moments: str = ""
    """Why there are none, a sentence, shown where there are none."""
    judged_by: str = "chunk"
    """What judges a frame, a word."""


@dataclass(frozen=True)
class ShownMoment:
    """A moment as the page shows it."""

    moment: Moment
    strip: NDArray[np.uint8]
    """(H, W, 3)."""
    instruction: str
    success: bool | None
    """Label of the episode; None: there is none."""
    progress: NDArray[np.float64] | None
    """(T,) of the whole episode; None: unknown."""


@dataclass(frozen=True)
class _Card:
    shown: ShownMoment
    strip: str
    """JPEG, base64."""
    times: list[str]
    """Of the three pictures, seconds."""
    points: str
    """Of an SVG polyline; empty: no curve."""
    window: tuple[float, float]
    """Where what judges begins in the curve and how wide it is."""


@dataclass(frozen=True)
class _Bar:
    x: float
    y: float
    width: float
    height: float
    title: str


def scheme_text(settings: WeightsConfig) -> str:
    """What the configured scheme does, with its parameters."""
    what = judged_by(settings)
    match settings.scheme:
        case "none":
            return "Plain behavior cloning: every frame has weight 1."
        case "auto":
            return (
                "Left out: what gains less than half of what good demonstrations, the shortest of those that "
                "end well, gain at that stage of the task; less where that would leave too little, and "
                "nothing where it is no more than a tenth of the frames, or the verdict on the scorer is `do "
                "not weight`. Slow ones that end well are watched for longer."
            )
        case "topreward":
            return (
                f"TOPReward, equation 3: {settings.tau:g} exp(delta), at most {settings.delta_max:g}; "
                f"delta is the progress over the {what}."
            )
        case "rabc":
            return (
                f"SARM, equations 8 and 9: full weight where the {what} gains more than {settings.kappa:g} "
                "of progress, none where it loses some, and in between by how usual the gain is."
            )
        case "awr":
            return (
                f"Advantage-weighted regression: exp(z / {settings.beta:g}), at most "
                f"{settings.weight_max:g}; z is the progress over the {what}, standardised over the frames "
                "of its task."
            )
        case "mask" if settings.min_delta is None:
            return (
                f"Left out: frames whose {what} gains less than half of what one gains evenly in a "
                "demonstration of its task's median length."
            )
        case "mask":
            return f"Left out: frames whose {what} gains less than {settings.min_delta:g} of progress."
        case "filter" if settings.drop == "frames":
            return f"Left out: the {100 * settings.drop_share:g} % of frames whose {what} gains least."
        case "filter" if settings.drop_below is None:
            return (
                f"Left out: the {100 * settings.drop_share:g} % of episodes that end with the least progress."
            )
        case "filter":
            return f"Left out: episodes that end with less than {settings.drop_below:g} of progress."
        case "static":
            return "Weights from a file."


def render(
    page: PageFacts, up: Sequence[ShownMoment], down: Sequence[ShownMoment], left: LeftOut | None = None
) -> str:
    """The page as text; without moments it says why. left: None where nothing was left out."""
    curves = [shown.progress for shown in (*up, *down) if shown.progress is not None]
    low = min([0.0, *(float(curve.min()) for curve in curves)])
    high = max([1.0, *(float(curve.max()) for curve in curves)])
    return render_template(
        "weights.html",
        page=page,
        groups=[
            (title, [_card(shown, page.fps, low, high) for shown in moments])
            for title, moments in (("Most up-weighted", up), ("Most down-weighted", down))
        ],
        figures=_figures(page.summary),
        bars=_bars(page.summary),
        left=left,
        timelines=cards(left.timelines, page.fps) if left else [],
        width=WIDTH,
        height=HEIGHT,
    )


def _figures(summary: WeightSummary) -> list[tuple[str, str]]:
    return [
        ("effective sample size", f"{summary.effective_sample_size:,.0f} frames"),
        ("weigh something", f"{summary.drawn:,} of {summary.frames:,}"),
        ("weight 0", f"{100 * summary.share_zero:.0f} %"),
        ("largest weight", f"{100 * summary.share_saturated:.0f} % at {summary.histogram_edges[-1]:.2f}"),
    ]


def _bars(summary: WeightSummary) -> list[_Bar]:
    counts, edges = summary.histogram_counts, summary.histogram_edges
    wide, tallest = WIDTH / len(counts), max(counts)
    bars: list[_Bar] = []
    for place, count in enumerate(counts):
        # A bar that stands for few frames among many stays visible.
        tall = 0.0 if count == 0 else max(1.5, count / tallest * HEIGHT)
        title = f"weight {edges[place]:.2f} to {edges[place + 1]:.2f}: {count:,} frames"
        bars.append(_Bar((place + 0.04) * wide, HEIGHT - tall, 0.92 * wide, tall, title))
    return bars


def _card(shown: ShownMoment, fps: float, low: float, high: float) -> _Card:
    moment, curve = shown.moment, shown.progress
    points, window = "", (0.0, 0.0)
    if curve is not None:
        last = max(1, len(curve) - 1)
        at = np.unique(np.linspace(0, len(curve) - 1, min(MAX_POINTS, len(curve))).round().astype(int))
        y = (high - curve[at]) / (high - low) * HEIGHT
        points = " ".join(f"{x:.0f},{value:.1f}" for x, value in zip(at / last * WIDTH, y, strict=True))
        # The chunk that begins at an episode's last frame has no width of its own.
        begin = min(moment.ahead[0] / last * WIDTH, WIDTH - 4.0)
        window = (begin, max(4.0, moment.ahead[-1] / last * WIDTH - begin))
    return _Card(
        shown=shown,
        strip=base64.b64encode(jpeg(shown.strip)).decode(),
        times=[f"{number(frame / fps, 1)} s" for frame in moment.ahead],
        points=points,
        window=window,
    )
