"""Measures the project's own claims: a table, and JSON. Exit code 1 where a bound is missed.

scripts/benchmark.py scoring: exactness, parity with LeRobot, cost of scoring all prefixes, labelling, memory.
"""

from collections.abc import Sequence
from typing import Literal

from rabc import cli

WHAT = ("scoring",)
PARTS = ("exactness", "parity", "cost", "labelling", "memory")
PART = cli.Argument("parts", str, ",".join(PARTS), "Parts to measure, separated by commas.")
ARCHITECTURE = cli.Argument(
    "architecture",
    Literal["small", "100m", "qwen3-vl-8b"],
    "100m",
    "Random weights of this architecture for the cost: 3.5 or 124 million, or Qwen3-VL-8B's (a GPU).",
)
REPEATS = cli.Argument("repeats", int, 3, "Runs of what is compared with the tightest bound.")
PAGE = cli.Argument("page", str | None, None, "Also fill the table of this page, docs/benchmarks.md.")
JSON = cli.Argument("json", str | None, None, "Also write everything measured to this file.")


def main(argv: Sequence[str]) -> None:
    """Measures what the first word names."""
    from rabc.errors import CheckFailed, InputError

    if not argv or (argv[0] not in WHAT and argv[0] not in ("--help", "-h")):
        raise InputError(f"benchmark {argv[0] if argv else ''!r}: unknown; give one of {', '.join(WHAT)}")
    rest = argv if argv[0].startswith("-") else argv[1:]
    command = cli.parse(rest, __doc__, sections=("device",), extra=[PART, ARCHITECTURE, REPEATS, JSON, PAGE])
    parts = command.extra["parts"].split(",")
    unknown = [part for part in parts if part not in PARTS]
    if unknown:
        raise InputError(f"--parts {unknown[0]}: unknown; choose among {', '.join(PARTS)}")

    from rabc.benchmarks import command as benchmark
    from rabc.quiet import no_library_bars, quiet_libraries

    quiet_libraries()
    no_library_bars()
    lines = benchmark.scoring(
        parts, command.config.device, command.extra["architecture"], command.extra["repeats"],
        command.extra["json"], command.extra["page"],
    )  # fmt: skip
    missed = [line.what for line in lines if line.holds is False]
    if missed:
        raise CheckFailed(f"benchmark scoring: misses {'; '.join(missed)}")


if __name__ == "__main__":
    cli.run(main)
