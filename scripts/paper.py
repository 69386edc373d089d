"""Measures a table of TOPReward's paper anew: scripts/paper.py --config paper_table1_oxe.yaml.

Exit code 1 where a dataset could not be had; run it again, and only what is missing is done.
"""

from collections.abc import Sequence

from rabc import cli


def main(argv: Sequence[str]) -> None:
    """Parses `argv`, measures and prints."""
    command = cli.parse(argv, __doc__, sections=("paper", "scorer", "run", "device"))
    from rabc import paper
    from rabc.errors import CheckFailed
    from rabc.quiet import no_library_bars, quiet_libraries
    from rabc.terminal import table

    quiet_libraries()
    no_library_bars()
    rows = paper.measure(command.config)
    quantity = {"voc": "VOC", "success_auc": "ROC-AUC of success"}[command.config.paper.quantity]
    print(f"{quantity}, {command.config.scorer.model}")
    print(table([row.cells() for row in rows], paper.HEADERS))
    missing = [row.dataset for row in rows if row.measured is None]
    if missing:
        raise CheckFailed(f"paper.datasets: {len(missing)} could not be measured: {', '.join(missing)}")


if __name__ == "__main__":
    cli.run(main)
