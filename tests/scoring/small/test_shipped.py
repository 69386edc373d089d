"""The scorers that ship see drops and stalls, read the colour, and are not fooled by a still picture."""

from pathlib import Path

import numpy as np
import pytest

from rabc.diagnosis.demonstrations import demonstration
from rabc.scoring.small.report import MAX_STATIC_RISE, MIN_AUC, MIN_GAP, MIN_VOC, report
from rabc.scoring.topreward import TOPReward
from rabc.sim import seeds
from rabc.sim.environment import COLORS, Simulator
from rabc.sim.scene import Task
from rabc.sim.scorer_data import play
from tests.support import REPO

CHECKPOINTS = REPO / "checkpoints"
FOLDERS: dict[Task, Path] = {
    "pick": CHECKPOINTS / "so101-scorer",
    "place": CHECKPOINTS / "so101-place-scorer",
}


@pytest.fixture(scope="module", params=FOLDERS)
def task(request: pytest.FixtureRequest) -> Task:
    return request.param


@pytest.fixture(scope="module")
def scorer(task: Task) -> TOPReward:
    return TOPReward.from_pretrained(str(FOLDERS[task]))


def test_it_falls_where_the_cube_drops_and_is_flat_where_the_arm_stalls():
    scorer = TOPReward.from_pretrained(str(FOLDERS["pick"]))
    with Simulator() as simulator:
        drop = demonstration(simulator, scorer, "drop", seeds.SCORER_TEST + 700_000)
        stall = demonstration(simulator, scorer, "stall", seeds.SCORER_TEST + 700_000)

    def between(shown, first: str, last: str) -> np.ndarray:
        at = {name: frame for frame, name in reversed(shown.phases)}  # the first of each name
        frames = shown.scores.prefix_lengths - 1
        return shown.scores.log_prob_true[(frames >= at[first]) & (frames <= at[last])]

    assert between(drop, "lift", "drop").max() - between(drop, "drop", "regrasp").min() > 0.5
    assert drop.scores.log_prob_true[-1] > -0.5
    assert np.ptp(between(stall, "stall", "resume")[1:]) < 0.35


def test_it_reads_the_colour_and_the_picture_not_the_clock(scorer: TOPReward, task: Task):
    with Simulator(COLORS, task=task) as simulator:
        episodes = [play(simulator, seeds.SCORER_TEST + 600_000 + k, clumsy_share=0.0) for k in range(10)]
    measured = report(scorer, episodes, num_prefixes=8)
    assert measured.static_share <= MAX_STATIC_RISE
    assert measured.wrong_color_gap >= MIN_GAP
    assert measured.success_auc >= MIN_AUC


@pytest.mark.slow
def test_it_reaches_what_its_card_says(scorer: TOPReward, task: Task):
    with Simulator(COLORS, task=task) as simulator:
        episodes = [play(simulator, seeds.SCORER_TEST + k) for k in range(60)]
    measured = report(scorer, episodes)
    assert all(holds for *_, holds in measured.checks()), measured
    assert measured.voc_clean >= MIN_VOC


@pytest.mark.parametrize("folder", FOLDERS.values(), ids=FOLDERS)
def test_the_folder_is_below_ten_megabytes(folder: Path):
    assert sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) < 10e6
