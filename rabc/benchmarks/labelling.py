"""Labelling whole videos: against LeRobot's own script, and how memory grows with their length."""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from rabc.benchmarks import models
from rabc.benchmarks.children import run_command
from rabc.benchmarks.lines import Line, at_least, at_most, ratio, side_by_side
from rabc.scoring.topreward import TOPReward

FPS, HEIGHT, WIDTH = 30, 480, 640
SAMPLE_FPS = 2.0
INSTRUCTION = "Pick up the red cube."
CAMERA = "observation.images.front"
SMALL_BUDGET = {"shortest_edge": 32 * 32, "longest_edge": 4_000_000}
"""Pixels per clip, filled by 14 frames of 480x640: the model's own memory is then the same at any length."""


def picture(index: int) -> NDArray[np.uint8]:
    """(HEIGHT, WIDTH, 3): a square that moves over a slope of grey, different in every frame."""
    frame = np.empty((HEIGHT, WIDTH, 3), np.uint8)
    frame[:] = np.linspace(0, 160, WIDTH, dtype=np.uint8)[None, :, None]
    left, top = 5 * index % (WIDTH - 80), 3 * index % (HEIGHT - 80)
    frame[top : top + 80, left : left + 80] = (200, 40, 40)
    return frame


def against_lerobot(folder: Path, repeats: int) -> tuple[list[Line], dict[str, Any]]:
    """One episode of 20 s at 30 fps, 480x640, 15 prefixes: ours, and LeRobot's `compute_rabc_weights`."""
    from lerobot.datasets import LeRobotDataset
    from lerobot.rewards.topreward import compute_rabc_weights as theirs
    from lerobot.rewards.topreward.configuration_topreward import TOPRewardConfig
    from lerobot.rewards.topreward.modeling_topreward import TOPRewardModel
    from lerobot.rewards.topreward.processor_topreward import TOPRewardEncoderProcessorStep

    from rabc.scoring.label import open_store, score_dataset

    root = record_episode(folder / "episode", 20 * FPS)
    dataset: Any = LeRobotDataset("local/episode", root=root)
    scorer = models.random_scorer("small", "cpu", torch.float32, SAMPLE_FPS, models.QWEN3_VL_PIXELS)
    path = models.save(scorer, folder / "scorer")
    ours = TOPReward.from_pretrained(str(path), fps=SAMPLE_FPS)
    model = TOPRewardModel(TOPRewardConfig(vlm_name=str(path), torch_dtype="float32", device="cpu")).eval()
    encoder = TOPRewardEncoderProcessorStep(
        vlm_name=str(path), image_key=CAMERA, max_frames=None, fps=SAMPLE_FPS
    )

    def label_ours() -> None:
        with tempfile.TemporaryDirectory(dir=folder) as stores:
            store = open_store(Path(stores), root, "benchmark", ours, ("front",), 15)
            score_dataset(root, ours, 15, {"real": store}, {"real": [0]})

    def label_theirs(frames: Any, count: int) -> None:
        theirs.compute_instruction_rewards_for_prefixes(
            model, encoder, frames, 0, count, INSTRUCTION, CAMERA, 15, "cpu"
        )

    sampled = _Sampled(dataset, ours.frame_indices(20 * FPS, FPS))
    seconds = side_by_side(
        {
            "ours": (label_ours, repeats),
            "LeRobot": (lambda: label_theirs(dataset, 20 * FPS), 1),
            "LeRobot, our frames": (lambda: label_theirs(sampled, len(sampled.indices)), 1),
        },
        "cpu",
    )
    whole, whole_detail = ratio(seconds, "LeRobot", "ours")
    equal, equal_detail = ratio(seconds, "LeRobot, our frames", "ours")
    lines = [
        at_least("labelling 20 s of 480x640 at 30 fps: LeRobot / ours", whole, 10.0, "x", whole_detail),
        Line("the same, LeRobot given our 40 frames only", equal, "x", detail=equal_detail),
    ]
    return lines, {"parameters": models.parameters(ours), "seconds": seconds}


@dataclass(frozen=True)
class _Sampled:
    """The dataset as if only these frames had been recorded."""

    dataset: Any
    indices: NDArray[np.int64]

    def __getitem__(self, index: int) -> Any:
        return self.dataset[int(self.indices[index])]


def record_episode(root: Path, count: int) -> Path:
    """A LeRobotDataset of one episode of `count` frames with one camera."""
    from lerobot.datasets import LeRobotDataset

    shape = (HEIGHT, WIDTH, 3)
    features: Any = {CAMERA: {"dtype": "video", "shape": shape, "names": ["height", "width", "channels"]}}
    dataset: Any = LeRobotDataset.create("local/episode", FPS, features, root=root)
    for index in range(count):
        dataset.add_frame({CAMERA: picture(index), "task": INSTRUCTION})
    dataset.save_episode()
    dataset.finalize()
    return root


def memory(folder: Path, lengths: Sequence[int]) -> tuple[list[Line], dict[str, Any]]:
    """Peak memory of `rabc score --video` for videos of so many frames, each in a process."""
    scorer = models.random_scorer("tiny", "cpu", torch.float32, SAMPLE_FPS, SMALL_BUDGET)
    path = models.save(scorer, folder / "small-budget")
    peaks: dict[int, float] = {}
    for length in lengths:
        video = folder / f"{length}.mp4"
        write_video(video, length)
        peaks[length] = _peak_of_scoring(video, path, folder)
        print(f"  {length} frames: {peaks[length]:.0f} MB", flush=True)
    first, last = peaks[min(lengths)], peaks[max(lengths)]
    lines = [Line(f"peak memory of scoring {length} frames", peak, "MB") for length, peak in peaks.items()]
    what = f"peak memory, {max(lengths)} / {min(lengths)} frames"
    lines.append(at_most(what, last / first, 1.1, "x", "480x640 at 30 fps, rabc score --video"))
    return lines, {"peak_mb": {str(length): peak for length, peak in peaks.items()}}


def write_video(path: Path, count: int) -> None:
    """An H.264 file of `count` frames of 480x640 at 30 fps."""
    import av

    logging: Any = av.logging  # pyright: ignore[reportPrivateImportUsage]
    logging.set_level(logging.ERROR)
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("libx264", rate=Fraction(FPS))
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.options = {"preset": "ultrafast", "crf": "30", "g": "30"}
        for index in range(count):
            for packet in stream.encode(av.VideoFrame.from_ndarray(picture(index), format="rgb24")):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)


def _peak_of_scoring(video: Path, model: Path, folder: Path) -> float:
    scored = run_command(
        [
            "score", "--video", str(video), "--instruction", INSTRUCTION, "--scorer.model", str(model),
            "--scorer.fps", str(SAMPLE_FPS), "--device", "cpu", "--output", str(folder / "curve.png"),
        ],
        folder,
    )  # fmt: skip
    return scored.peak_mb
