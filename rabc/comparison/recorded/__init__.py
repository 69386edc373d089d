"""Comparing rollouts that were recorded on an arm, judged by labels, by the scorer, or by both."""
