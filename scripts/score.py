"""Scores every episode of a dataset with TOPReward and writes progress in LeRobot's columns.

A killed scoring goes on where it stopped; finished episodes are not scored again.
"""

from collections.abc import Sequence

from rabc import cli


def main(argv: Sequence[str]) -> None:
    """Parses `argv` and scores."""
    command = cli.parse(argv, __doc__, sections=("dataset", "scorer", "weights", "device"))
    from rabc import stage_work
    from rabc.quiet import no_library_bars, quiet_libraries

    quiet_libraries()
    no_library_bars()
    report = stage_work.score_only(command.config)
    print(f"VOC {report['voc']:.3f}, mean final log p(True) {report['final_log_prob']:.2f} nats")
    print(f"raw scores: {report['store']}")
    print(f"progress:   {report['progress_file']}")


if __name__ == "__main__":
    cli.run(main)
