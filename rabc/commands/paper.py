"""Measures a table of TOPReward's paper anew: rabc paper --config paper_table1_oxe.yaml.

Exit code 1 where a dataset could not be had; run it again, and only what is missing is done.
"""

from collections.abc import Sequence

from rabc.config import cli


def main(argv: Sequence[str]) -> None:
    """Parses `argv`, measures and prints."""
    command = cli.parse(argv, __doc__, sections=("paper", "scorer", "run", "device"))
    from rabc.pipeline import paper
    from rabc.system.errors import CheckFailed
    from rabc.system.quiet import no_library_bars, quiet_libraries
    from rabc.system.terminal import table

    quiet_libraries()
    no_library_bars()
    rows = paper.measure(command.config)
    quantity = {"voc": "VOC", "success_auc": "ROC-AUC of success"}[command.config.paper.quantity]
    print(f"{quantity}, {command.config.scorer.model}")
    print(table([row.cells() for row in rows], paper.HEADERS))
    missing = [row.dataset for row in rows if row.measured is None]
    if missing:
        raise CheckFailed(f"paper.datasets: {len(missing)} could not be measured: {', '.join(missing)}")
