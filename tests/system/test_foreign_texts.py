"""Names and texts of others' files are shown and quoted: neither terminal nor shell obeys them."""

import json
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from rabc.datasets.metadata import check_strays, recompute_statistics
from rabc.datasets.preflight import tasks, videos
from rabc.datasets.preflight.findings import edit_command
from rabc.system.errors import InputError
from rabc.system.terminal import shell_word, shown, table

EVIL = ["a'; touch canary; '", "$(touch canary)", "`touch canary`", '"; touch canary; "', "a b", "Grüß"]


def words(line: str, folder: Path) -> list[str]:
    """What a shell makes of a command line."""
    script = 'for word in "$@"; do printf "%s\\0" "$word"; done'
    (folder / "list.sh").write_text(script)
    done = subprocess.run(
        ["sh", "-c", f"sh list.sh {line}"], cwd=folder, capture_output=True, text=True, check=True
    )
    return done.stdout.split("\0")[:-1]


@pytest.mark.parametrize("name", EVIL)
def test_a_command_to_copy_runs_nothing_of_a_name(name: str, tmp_path: Path) -> None:
    root = Path("/data") / name
    meta: Any = SimpleNamespace(root=root)
    assert words(shell_word(name), tmp_path) == [name]
    edit = words(edit_command(root, "merge").strip("`"), tmp_path)
    assert f"local/{name}" in edit
    assert str(root) in edit
    assert str(root) in words(recompute_statistics(root), tmp_path)
    with pytest.raises(InputError) as stray:
        check_strays([root / "table.parquet"])
    assert (
        words(str(stray.value).rpartition("remove it: ")[2].strip("`"), tmp_path)[1]
        == f"{root}/table.parquet"
    )
    modify = words(tasks._modify(meta, {0: name}).removeprefix("`").removesuffix("`"), tmp_path)  # pyright: ignore
    assert modify[-1] == json.dumps({"0": name}, ensure_ascii=False)
    assert len(words(videos._listed(name), tmp_path)) == 1  # pyright: ignore
    assert not (tmp_path / "canary").exists()


def test_what_a_terminal_obeys_is_spelled_out() -> None:
    assert shown("\x1b[2Ja\x00\u202eb\nc\t\u0085ü") == "\\x1b[2Ja\\x00\\u202eb\nc\t\\x85ü"
    assert "\x1b" not in table([["\x1b]0;x\x07", 1]], ["name", "count"])
