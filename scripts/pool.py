"""Pools the rollouts of several finished runs, such as training seeds: each rate and all together."""

from collections.abc import Sequence

from rabc import cli

RUNS = cli.Argument("runs", str, "so101_pick", "Names of finished runs, comma-separated.")


def main(argv: Sequence[str]) -> None:
    """Parses `argv` and prints the table."""
    command = cli.parse(argv, __doc__, sections=(), extra=[RUNS])
    import json
    from pathlib import Path

    from rabc.errors import InputError
    from rabc.stats import proportion
    from rabc.terminal import table

    rows: list[list[str]] = []
    lifted = trials = 0
    for run in command.extra["runs"].split(","):
        path = Path("outputs") / run / "summary.json"
        if not path.exists():
            raise InputError(f"run {run}: has no {path}; finish it with scripts/train.py --run {run}")
        summary = json.loads(path.read_text())
        if not summary["rollouts"]["episodes"]:
            raise InputError(f"run {run}: has no rollouts; run it with --rollouts.episodes 100")
        success = summary["rollouts"]["success"]
        rows.append(
            [run, str(summary["config"]["seed"]), str(proportion(success["successes"], success["trials"]))]
        )
        lifted, trials = lifted + success["successes"], trials + success["trials"]
    rows.append(["together", "", str(proportion(lifted, trials))])
    print(table(rows, ["run", "seed", "lifted"]))


if __name__ == "__main__":
    cli.run(main)
