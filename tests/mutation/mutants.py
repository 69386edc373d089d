"""What mutmut makes of the arithmetic of a room, and which of its changes are known to change nothing."""

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support import REPO

LISTED = Path(__file__).with_name("equivalent.toml")
SETTINGS: dict[str, Any] = tomllib.loads((REPO / "pyproject.toml").read_text())["tool"]["mutmut"]
ROOMS = sorted({pattern.split("/")[1] for pattern in SETTINGS["only_mutate"]})

_SECTION = re.compile(r"^\[tool\.mutmut\]\n.*?(?=^\[|\Z)", re.MULTILINE | re.DOTALL)
# In a process of its own and in the copy, which is where mutmut looks for everything.
_READ = """
import json
from mutmut.__main__ import collect_source_file_mutation_data
from mutmut.mutation.diff_apply import get_diff_for_mutant
from mutmut.stats import status_by_exit_code

found = []
for data, name, code in collect_source_file_mutation_data(mutant_names=())[0]:
    status = status_by_exit_code[code]
    kept = status not in ("killed", "timeout", "segfault", "not checked")
    found.append([str(data.path), name, status, get_diff_for_mutant(name) if kept else ""])
print(json.dumps(found))
"""


@dataclass(frozen=True)
class Mutation:
    """A change of the code, wherever its lines lie in the function."""

    file: str
    """Such as rabc/statistics/curves.py."""
    function: str
    """`name`, of a class `Class.name`."""
    change: tuple[str, ...]
    """Its lines, `- ` and what it was, `+ ` and what it becomes, without indentation."""

    def __str__(self) -> str:
        return "\n".join((f"{self.file} {self.function}", *self.change))


@dataclass(frozen=True)
class Counted:
    """What became of the mutants of one file."""

    mutants: int
    killed: int
    survivors: tuple[Mutation, ...]


def mutate(room: str, folder: Path) -> dict[str, Counted]:
    """Every mutant of the room's files in `[tool.mutmut]`, file by file, judged by the room's own tests.

    folder: empty, for the copy of the clone that mutmut works in.
    """
    for name in ("rabc", "tests"):
        shutil.copytree(REPO / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    text = (REPO / "pyproject.toml").read_text()
    (folder / "pyproject.toml").write_text(_SECTION.sub(lambda _: _of(room), text))
    homes = {name: str(folder / name) for name in ("XDG_CACHE_HOME", "RABC_CACHE", "XDG_DATA_HOME")}
    own = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    environment = own | homes | {"OMP_NUM_THREADS": "1"}
    tool = shutil.which("mutmut", path=Path(sys.executable).parent)
    assert tool, "mutmut is not installed beside this Python: uv sync"
    with (folder / "mutmut.log").open("wb") as log:
        command = [tool, "run", "--max-children", "1"]
        ended = subprocess.run(command, cwd=folder, env=environment, stdout=log, stderr=log, check=False)
    if ended.returncode:
        raise RuntimeError((folder / "mutmut.log").read_text(errors="replace")[-3000:])
    read = subprocess.run(
        [sys.executable, "-c", _READ], cwd=folder, env=environment, capture_output=True, text=True, check=True
    )
    found: dict[str, list[tuple[str, str, str]]] = {}
    for file, name, status, diff in json.loads(read.stdout):
        assert status != "not checked", name
        found.setdefault(file, []).append((name, status, diff))
    return {file: _counted(file, rows) for file, rows in found.items()}


def _counted(file: str, rows: list[tuple[str, str, str]]) -> Counted:
    survivors = tuple(Mutation(file, _function(name), _change(diff)) for name, _, diff in rows if diff)
    return Counted(len(rows), len(rows) - len(survivors), survivors)


def listed() -> dict[Mutation, str]:
    """The mutations of `equivalent.toml`, each with the reason why no test can notice it."""
    found: dict[Mutation, str] = {}
    for group in tomllib.loads(LISTED.read_text())["equivalent"]:
        for block in group["mutations"].strip().split("\n\n"):
            place, *lines = block.splitlines()
            file, function = place.split()
            mutation = Mutation(file, function, tuple(lines))
            assert mutation not in found, f"listed twice: {mutation}"
            found[mutation] = group["why"]
    return found


def _of(room: str) -> str:
    """`[tool.mutmut]` for one room alone; what JSON writes of lists, words and numbers is TOML."""
    own = dict(SETTINGS)
    own["only_mutate"] = [path for path in own["only_mutate"] if path.startswith(f"rabc/{room}/")]
    tests = own["pytest_add_cli_args_test_selection"]
    own["pytest_add_cli_args_test_selection"] = [t for t in tests if t.split("/")[1] == room]
    return "[tool.mutmut]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in own.items())


def _function(name: str) -> str:
    """`Class.name` or `name` of mutmut's `rabc.room.file.xǁClassǁname__mutmut_3`."""
    ((of, function),) = re.findall(r"\.x(?:ǁ(\w+)ǁ|_)(\w+)__mutmut_\d+$", name)
    return f"{of}.{function}" if of else function


def _change(diff: str) -> tuple[str, ...]:
    lines = [line for line in diff.splitlines() if re.match(r"[-+](?![-+]{2} )", line)]
    return tuple(f"{line[0]} {line[1:].strip()}" for line in lines if line[1:].strip())
