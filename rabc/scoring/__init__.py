"""Frozen scorers: frames and an instruction give a score for every prefix."""

from rabc.scoring.base import PrefixScores, Scorer
from rabc.scoring.topreward import TOPReward

__all__ = ["PrefixScores", "Scorer", "TOPReward"]
