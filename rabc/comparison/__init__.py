"""Comparing weightings: the same training with other weights, judged on the same start states.

`arms` -> `plan` -> `trainings` -> `rollouts` -> `results`; `run` is all of it, `pages` show it, `recorded` is
for rollouts that LeRobot recorded on an arm, and `experiments` to `publish` make docs/results.md.
"""
