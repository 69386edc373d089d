"""How good the small scorer is, on demonstrations whose seeds nothing else uses."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from tqdm import tqdm

from rabc.scoring.base import Scorer
from rabc.scoring.small.clips import LOG_PROB_SPAN
from rabc.sim.environment import FPS
from rabc.sim.scene import COLORS, Scene
from rabc.sim.scorer_data import SimulatedEpisode
from rabc.statistics.curves import roc_auc, success_score, voc

MIN_VOC, MIN_AUC, MAX_STATIC_RISE, MIN_GAP = 0.9, 0.95, 0.10, 2.0


@dataclass(frozen=True)
class ScorerReport:
    """Figures over held-out demonstrations; a rise is last minus first log p(True), nats."""

    episodes: int
    successful: int
    """Episodes in which the task is done at the end."""
    clean: int
    """Successful episodes without a flaw."""
    voc_clean: float
    """Mean VOC of the clean demonstrations that succeed."""
    voc_all: float
    success_auc: float
    """ROC-AUC of the success score (mean of the last three prefixes) against the simulator."""
    real_rise: float
    """Mean rise on the real clips of successful demonstrations, nats."""
    static_rise: float
    """Mean rise on the same clips with every frame replaced by the first, nats."""
    static_voc: float
    """Mean VOC of these static clips; scale-free, so a tiny drift may give any value."""
    wrong_color_gap: float
    """Mean of (success score with the right instruction - with a wrong colour), successful ones, nats."""
    progress_error: float
    """Mean |1 + log p(True) / 4 - simulator progress| over all prefixes, clipped to 0...1."""

    @property
    def static_share(self) -> float:
        """Static rise relative to the real rise; infinite where the real clips do not rise."""
        return self.static_rise / self.real_rise if self.real_rise > 0 else float("inf")

    def checks(self) -> list[tuple[str, str, str, bool]]:
        """(what and on which episodes, measured, required, holds) of all the shipped scorer must reach."""
        successful = f"{self.successful} successful"
        return [
            (
                f"VOC, {self.clean} clean and successful",
                f"{self.voc_clean:.3f}",
                f">= {MIN_VOC}",
                self.voc_clean >= MIN_VOC,
            ),
            (
                f"ROC-AUC of final success, {successful} against {self.episodes - self.successful} others",
                f"{self.success_auc:.3f}",
                f">= {MIN_AUC}",
                self.success_auc >= MIN_AUC,
            ),
            (
                f"rise on static video / rise on the real clip, {successful}",
                f"{self.static_rise:.3f} / {self.real_rise:.3f} nats = {100 * self.static_share:.1f} %",
                f"<= {100 * MAX_STATIC_RISE:.0f} %",
                self.real_rise > 0 and self.static_share <= MAX_STATIC_RISE,
            ),
            (
                f"wrong colour ends lower by, {successful}",
                f"{self.wrong_color_gap:.2f} nats",
                f">= {MIN_GAP:.0f} nats",
                self.wrong_color_gap >= MIN_GAP,
            ),
        ]

    def more(self) -> list[tuple[str, str]]:
        """(what and on which episodes, measured) of what nothing is required of."""
        every = f"all {self.episodes}"
        return [
            (f"VOC, {every}", f"{self.voc_all:.3f}"),
            (f"VOC on static video, {every}", f"{self.static_voc:.3f}"),
            (f"mean error of progress, {every}", f"{self.progress_error:.3f}"),
        ]


def report(scorer: Scorer, episodes: Sequence[SimulatedEpisode], num_prefixes: int = 15) -> ScorerReport:
    """Score every episode as it is, as a static clip, and with a wrong colour.

    The wrong colour is that of another cube on the table where there is one, else one that is absent.
    """
    vocs, static_vocs, final, wrong_final, rises, static_rises, errors = ([] for _ in range(7))
    for episode in tqdm(episodes, desc="scoring", unit="episode"):
        scene = Scene(episode.color, task=episode.task)
        scores = scorer.score(episode.frames, scene.instruction, FPS, num_prefixes)
        curve = scores.log_prob_true
        frozen = np.repeat(episode.frames[:1], len(episode.frames), axis=0)
        static = scorer.score(frozen, scene.instruction, FPS, num_prefixes).log_prob_true
        absent = COLORS[(COLORS.index(episode.color) + 1) % len(COLORS)]
        wrong = episode.present[1] if len(episode.present) > 1 else absent
        other = Scene(wrong, task=episode.task)
        wrong_curve = scorer.score(episode.frames, other.instruction, FPS, num_prefixes).log_prob_true
        seen = np.clip(1 + curve / LOG_PROB_SPAN, 0, 1)
        vocs.append(voc(curve))
        static_vocs.append(voc(static))
        final.append(success_score(curve))
        wrong_final.append(success_score(wrong_curve))
        rises.append(curve[-1] - curve[0])
        static_rises.append(static[-1] - static[0])
        errors.append(np.abs(seen - episode.progress[scores.prefix_lengths - 1]).mean())
    success = np.array([episode.success for episode in episodes])
    clean = success & np.array([episode.kind == "clean" for episode in episodes])
    gap = np.array(final) - np.array(wrong_final)
    return ScorerReport(
        episodes=len(episodes),
        successful=int(success.sum()),
        clean=int(clean.sum()),
        voc_clean=float(np.mean(np.array(vocs)[clean])),
        voc_all=float(np.mean(vocs)),
        success_auc=roc_auc(np.array(final), success),
        real_rise=float(np.mean(np.array(rises)[success])),
        static_rise=float(np.mean(np.array(static_rises)[success])),
        static_voc=float(np.mean(static_vocs)),
        wrong_color_gap=float(np.mean(gap[success])),
        progress_error=float(np.mean(errors)),
    )
