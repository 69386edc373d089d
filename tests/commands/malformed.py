"""Malformed inputs by their kind, and the page that says what each is answered with.

    uv run python -m tests.commands.malformed

writes `docs/refusals.md` from what the commands say.
"""

import tempfile
import time
from pathlib import Path

from tests.commands import malformed_datasets as datasets
from tests.commands import malformed_files as files
from tests.commands import malformed_models as models
from tests.commands import malformed_settings as settings
from tests.support import REPO
from tests.support.refusing import Case, cell, lay_out, make_stock, refusal, run

PAGE = REPO / "docs" / "refusals.md"
KINDS: dict[str, tuple[Case, ...]] = {
    "The command line": settings.COMMAND_LINE,
    "YAML": settings.YAML,
    "A dataset's metadata": datasets.METADATA,
    "A dataset's tables and videos": datasets.TABLES,
    "Which dataset, which episodes": datasets.EPISODES,
    "Policy folders": models.POLICIES,
    "Checkpoints": models.CHECKPOINTS,
    "Scorers": models.SCORERS,
    "Progress and weights from elsewhere": files.FOREIGN,
    "Recorded rollouts and their labels": files.RECORDINGS,
    "Finished runs": files.RUNS,
    "Videos": files.VIDEOS,
}
"""Kind -> its cases."""
HEAD = """\
# What malformed input is answered with

Input that cannot be used ends a command with exit code 2 and one line: the thing, its value, what is wrong,
the remedy. Nothing is half-written. `tests/commands/test_malformed.py` gives the commands everything below,
looks at what they say and leave behind, and whether this page is current; it is written by
`uv run python -m tests.commands.malformed`.

Here `arm` is a small dataset, `policy` a policy folder for it, `scorer` a copy of the small scorer,
"small.yaml" a sound configuration, and `own` the file in question. What `rabc check-dataset` lists of a
dataset that can be read: [own data](own-data.md#what-a-check-finds).
"""
_LONGEST = 700
"""Characters of what is said that the page shows."""


def row(case: Case, said: str) -> str:
    """The line of the page's table."""
    shown = said if len(said) <= _LONGEST else f"{said[:_LONGEST]} …"
    return f"| `{case.command[0]}` | {cell(case.name)} | {cell(shown)} |"


def page(said: dict[Case, str]) -> str:
    """All of the page, from what was said to each case."""
    parts = [HEAD]
    for kind, cases in KINDS.items():
        rows = "\n".join(row(case, said[case]) for case in cases)
        parts.append(f"## {kind}\n\n| command | given | said |\n| --- | --- | --- |\n{rows}\n")
    return "\n".join(parts)


def main() -> None:
    from tests.support.recordings import record_dataset

    with tempfile.TemporaryDirectory() as name:
        place = Path(name).resolve()
        (place / "stock").mkdir()
        stock = make_stock(record_dataset(place / "recorded"), place / "stock")
        said: dict[Case, str] = {}
        for number, case in enumerate(case for cases in KINDS.values() for case in cases):
            folder = place / str(number) / "work"
            folder.mkdir(parents=True)
            lay_out(case, stock, folder)
            began = time.process_time()
            said[case] = refusal(run(case, folder, folder.parent / "kept"), folder)
            print(f"{time.process_time() - began:5.1f} s  {case.name}")
        PAGE.write_text(page(said))


if __name__ == "__main__":
    main()
