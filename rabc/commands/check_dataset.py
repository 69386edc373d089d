"""Says whether a dataset is fit to learn from: a table of findings, and exit code 1 where it is not.

    rabc check-dataset data/my_recording
    rabc check-dataset --config so101_real.yaml --dataset.path <you>/<your dataset>

Holds metadata, tables and videos against each other, looks at how the joints move and at a few pictures of
every episode. Each finding has its file, its episodes and the command that mends it or leaves it out: REFUSED
is what this program does not train on, WRONG what it would learn something false of. Changes nothing in the
dataset; what it found is kept in the user's cache, so that a second call, or a training, does not look again.
"""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from rabc.config import cli
from rabc.system.errors import CheckFailed, InputError

if TYPE_CHECKING:
    from rabc.config.settings import Config
    from rabc.datasets.preflight.findings import Finding

QUICK = cli.Argument("quick", bool, False, "Look at no pictures, which takes seconds.")
JSON = cli.Argument("json", str | None, None, "File to write the findings to.", is_path=True)


def main(argv: Sequence[str]) -> None:
    """Parses `argv` and checks; a first word without dashes is `dataset.path`."""
    if argv and not argv[0].startswith("-"):
        argv = ["--dataset.path", *argv]
    command = cli.parse(argv, __doc__, sections=("dataset",), extra=[QUICK, JSON])
    from rabc.system.quiet import no_library_bars, quiet_libraries

    quiet_libraries()
    no_library_bars()
    from rabc.datasets.preflight.report import findings_table, verdict
    from rabc.datasets.source import find_dataset
    from rabc.system.atomic import write_json

    root = find_dataset(command.config)
    findings = _findings(command.config, root, not command.extra["quick"])
    if command.extra["json"] is not None:
        write_json(
            Path(command.extra["json"]),
            {"dataset": str(root), "findings": [asdict(finding) for finding in findings]},
        )
    if findings:
        print(findings_table(findings))
    sound, counted = verdict(findings)
    if not sound:
        raise CheckFailed(f"dataset {root}: {counted}")
    print(f"dataset {root}: {counted}")


def _findings(config: "Config", root: Path, decoded: bool) -> "list[Finding]":
    """Those that concern the chosen episodes; why it cannot be read at all is one as well."""
    from rabc.datasets.preflight.check import preflight
    from rabc.datasets.preflight.findings import refusal
    from rabc.datasets.selection import selected_episodes
    from rabc.datasets.source import open_dataset
    from rabc.pipeline.checks import take_out

    try:
        meta = open_dataset(config, root)
    except InputError as error:
        if not (root / "meta" / "info.json").is_file():
            raise
        return [refusal(error, "metadata")]
    take_out(config, root)
    chosen = set(selected_episodes(config.dataset, meta.total_episodes))
    found = preflight(meta, decoded)
    return [finding for finding in found if not finding.episodes or not chosen.isdisjoint(finding.episodes)]
