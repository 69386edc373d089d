"""Imports whatever a command needs, for the processes that `forked` forks from the one that did."""

from importlib import import_module

from rabc.system.quiet import quiet_libraries

MODULES = (
    "torch", "rabc.comparison.run", "rabc.diagnosis.dataset", "rabc.export.proof", "rabc.pipeline.main_job",
    "rabc.pipeline.score", "rabc.pipeline.work", "rabc.rollouts.evaluation", "rabc.scoring.configured",
    "rabc.training.run", "rabc.weighting.report", "tests.support.forked", "tests.support.small_resnet",
)  # fmt: skip

quiet_libraries()
for module in MODULES:
    import_module(module)
import_module("torch").set_num_threads(1)  # threads do not survive a fork
