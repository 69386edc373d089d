"""The picture that shows what the scorer sees: one demonstration of each kind, scored and drawn."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from einops import rearrange

from rabc.diagnosis.figures import Demonstration, plot_progress
from rabc.scoring.base import Scorer
from rabc.sim import seeds
from rabc.sim.demonstrate import demonstrate
from rabc.sim.demonstrator import Kind
from rabc.sim.environment import FPS, Simulator
from rabc.sim.scene import Task

# Phases worth a mark; the others follow from them.
MARKED = (
    "grasp", "stall", "resume", "drop", "regrasp", "miss", "detour", "give_up", "lift", "carry", "release"
)  # fmt: skip
PREFIXES = 30


def draw(
    scorer: Scorer, kinds: Sequence[Kind], offset: int, path: Path, task: Task = "pick"
) -> list[Demonstration]:
    """Simulate, score and draw one demonstration of each kind from held-out start state `offset`."""
    shown: list[Demonstration] = []
    with Simulator(task=task) as simulator:
        for kind in kinds:
            shown.append(
                demonstration(simulator, scorer, kind, seeds.SCORER_TEST + seeds.RANGE // 2 + offset)
            )
    plot_progress(shown, path)
    return shown


def demonstration(simulator: Simulator, scorer: Scorer, kind: Kind, seed: int) -> Demonstration:
    """One demonstration with its scores and the simulator's truth."""
    demonstrator = demonstrate(simulator, seed, kind)
    frames, truth = [], []
    for step in demonstrator.steps():
        frames.append(simulator.render("front"))
        truth.append(step.truth.progress)
    video = rearrange(frames, "t h w c -> t c h w")
    return Demonstration(
        title=f"{kind}: {simulator.scene.instruction}",
        frames=video,
        fps=FPS,
        scores=scorer.score(video, simulator.scene.instruction, FPS, PREFIXES),
        truth=np.array(truth),
        phases=[(phase.tick, phase.name) for phase in demonstrator.phases if phase.name in MARKED],
    )
