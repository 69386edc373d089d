"""Measures the small scorer on held-out simulated demonstrations; exit code 1 if it misses a requirement.

Prints VOC, ROC-AUC of final success, the rise on static video and the gap to a wrong instruction.
"""

from collections.abc import Sequence

from rabc.config import cli

EPISODES = cli.Argument("episodes", int, 60, "Held-out demonstrations.")
DATA = cli.Argument(
    "data", str, "data/so101_scorer", "Folder for simulated episodes, made when missing.", is_path=True
)
JSON = cli.Argument("json", str, None, "Also write the figures to this JSON file.", is_path=True)


def main(argv: Sequence[str]) -> None:
    """Parses `argv`, measures and prints."""
    sections = ("scorer", "demonstrations.task", "device")
    command = cli.parse(argv, __doc__, sections, extra=[EPISODES, DATA, JSON])
    from dataclasses import asdict
    from pathlib import Path

    from rabc.scoring.configured import load_scorer
    from rabc.scoring.small.report import report
    from rabc.sim import seeds
    from rabc.sim.scorer_data import scorer_episodes
    from rabc.system.atomic import write_json
    from rabc.system.errors import CheckFailed, InputError
    from rabc.system.quiet import no_library_bars, quiet_libraries
    from rabc.system.terminal import table

    quiet_libraries()
    no_library_bars()
    if command.extra["episodes"] < 2:
        raise InputError(f"--episodes {command.extra['episodes']}: too few to measure with; give 2 or more")
    scorer = load_scorer(command.config.scorer, command.config.device)
    folder = Path(command.extra["data"]) / "test"
    task = command.config.demonstrations.task
    episodes = scorer_episodes(folder, seeds.SCORER_TEST, command.extra["episodes"], processes=2, task=task)
    measured = report(scorer, episodes, command.config.scorer.num_prefixes)
    rows = [
        [what, value, wanted, "yes" if holds else "NO"] for what, value, wanted, holds in measured.checks()
    ]
    rows += [[what, value, "", ""] for what, value in measured.more()]
    print(table(rows, [f"{measured.episodes} held-out demonstrations", "measured", "required", "holds"]))
    if command.extra["json"]:
        write_json(Path(command.extra["json"]), asdict(measured))
    missed = [what for what, _, _, holds in measured.checks() if not holds]
    if missed:
        raise CheckFailed(f"scorer {command.config.scorer.model}: misses {', '.join(missed)}")
