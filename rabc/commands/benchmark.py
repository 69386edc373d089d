"""Measures the project's own claims: a table, and JSON. Exit code 1 where a bound is missed.

rabc benchmark scoring: exactness, parity with LeRobot, cost of scoring all prefixes, labelling, memory.
rabc benchmark data: our loader with its cache against LeRobotDataset.
rabc benchmark training: whole trainings against lerobot-train, our loop against a bare one, memory.
rabc benchmark rollouts: rollouts a minute against so101-nexus's own visual environment.
rabc benchmark inference: time of a query with each shipped configuration, and what rate it allows.
rabc benchmark episodes: what a start takes with 10, 100 and 1000 episodes, and a resumed training, and pages.
"""

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from rabc.config import cli

PARTS = {
    "scoring": ("exactness", "parity", "cost", "labelling", "memory"),
    "data": ("small", "full"),
    "training": ("diffusion", "act", "loop", "wait", "memory"),
    "rollouts": ("default", "plain", "same"),
    "inference": ("pick", "pick_diffusion", "place", "real"),
    "episodes": ("10", "100", "1000"),
}
REPEATS = {
    "scoring": (3, "Runs of what is compared with the tightest bound."),
    "data": (3, "Blocks of batches of each loader."),
    "training": (1, "Runs of each whole command."),
    "rollouts": (20, "Start states; of so101-nexus with its default pictures a quarter."),
    "inference": (30, "Queries of each policy."),
    "episodes": (3, "Starts with nothing to do, of which the quickest counts."),
}
ARCHITECTURE = cli.Argument(
    "architecture",
    Literal["small", "100m", "qwen3-vl-8b"],
    "100m",
    "Random weights of this architecture for the cost: 3.5 or 124 million, or Qwen3-VL-8B's (a GPU).",
)
QUICK = cli.Argument(
    "quick", bool, False, "Sizes so small that they only show that everything runs; no bounds, no page."
)
POLICY = cli.Argument(
    "policy",
    str,
    "checkpoints/so101_pick/pretrained_model",
    "Policy folder, trained for the pick task on the simulator's cameras.",
    is_path=True,
)
PAGE = cli.Argument(
    "page",
    str | None,
    None,
    "Also fill the table of this page, docs/benchmarks.md or docs/robot.md.",
    is_path=True,
)
JSON = cli.Argument("json", str | None, None, "Also write everything measured to this file.", is_path=True)


def main(argv: Sequence[str]) -> None:
    """Measures what the first word names."""
    from rabc.system.errors import CheckFailed, InputError

    helped = bool(argv) and argv[0] in ("--help", "-h")
    if not helped and (not argv or argv[0] not in PARTS):
        raise InputError(f"benchmark {argv[0] if argv else ''!r}: unknown; give one of {', '.join(PARTS)}")
    what = "scoring" if helped else argv[0]
    sections = () if what in ("rollouts", "inference", "episodes") else ("device",)
    command = cli.parse(argv if helped else argv[1:], __doc__, sections=sections, extra=_arguments(what))
    asked = command.extra
    parts = asked["parts"].split(",")
    unknown = [part for part in parts if part not in PARTS[what]]
    if unknown:
        raise InputError(f"--parts {unknown[0]}: unknown; choose among {', '.join(PARTS[what])}")
    if asked["repeats"] < 1:
        raise InputError(f"--repeats {asked['repeats']}: must be at least 1")
    if asked.get("quick") and asked["page"]:
        raise InputError(f"--page {asked['page']}: not with --quick, whose figures mean nothing; drop one")
    if asked["page"] and not Path(asked["page"]).is_file():  # before hours of measuring
        raise InputError(f"--page {asked['page']}: no such file; give the page of the documentation")

    from rabc.benchmarks import run as benchmark
    from rabc.system.home import CACHE
    from rabc.system.processes import unwind_on_sigterm
    from rabc.system.quiet import no_library_bars, quiet_libraries

    unwind_on_sigterm()
    quiet_libraries()
    no_library_bars()
    device, repeats, written = command.config.device, asked["repeats"], (asked["json"], asked["page"])
    # Nothing that was scored or decoded before is found, and nothing is left in the user's folders.
    with tempfile.TemporaryDirectory(prefix="rabc-benchmark-") as home:
        os.environ |= {CACHE: f"{home}/cache", "XDG_DATA_HOME": f"{home}/data"}
        if what == "scoring":
            lines = benchmark.scoring(parts, device, asked["architecture"], repeats, *written)
        elif what == "rollouts":
            lines = benchmark.rollouts(parts, asked["policy"], repeats, asked["quick"], *written)
        elif what == "inference":
            lines = benchmark.inference(parts, repeats, asked["quick"], *written)
        elif what == "episodes":
            lines = benchmark.episodes(parts, repeats, asked["quick"], *written)
        else:
            measure = {"data": benchmark.data, "training": benchmark.training}[what]
            lines = measure(parts, device, repeats, asked["quick"], *written)
    missed = [line.what for line in lines if line.holds is False]
    if missed:
        raise CheckFailed(f"benchmark {what}: misses {'; '.join(missed)}")


def _arguments(what: str) -> list[cli.Argument]:
    """The options of a benchmark."""
    parts = cli.Argument("parts", str, ",".join(PARTS[what]), "Parts to measure, separated by commas.")
    runs = cli.Argument("repeats", int, *REPEATS[what])
    own = {"scoring": [ARCHITECTURE], "rollouts": [POLICY, QUICK]}.get(what, [QUICK])
    return [parts, *own, runs, JSON, PAGE]
