"""The doors to the commands: `rabc <command>`, `python -m rabc <command>` and `scripts/<command>.py`."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from rabc.commands import entry
from rabc.config.arguments import command_line
from tests.support import REPO

SCRIPTS = sorted((REPO / "scripts").glob("*.py"))
NAMES = [name for commands in entry.COMMANDS.values() for name in commands]
PROGRAM = str(Path(sys.executable).with_name("rabc"))
MODULE = [sys.executable, "-m", "rabc"]


def rabc(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *words: str, program: str = PROGRAM
) -> tuple[object, str, str]:
    """Exit code, stdout and stderr of `rabc <words>` in this process."""
    monkeypatch.setattr(sys, "argv", [program, *words])
    capsys.readouterr()
    with pytest.raises(SystemExit) as ended:
        entry.main()
    said = capsys.readouterr()
    return ended.value.code, said.out, said.err


def outside(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(words, cwd=REPO, capture_output=True, text=True, timeout=60)


def test_every_command_has_its_module_and_its_script() -> None:
    modules = [path.stem for path in (REPO / "rabc" / "commands").glob("*.py")]
    assert len(NAMES) == len(set(NAMES))
    assert sorted([*(name.replace("-", "_") for name in NAMES), "entry", "__init__"]) == sorted(modules)
    assert [path.stem for path in SCRIPTS] == sorted(name.replace("-", "_") for name in NAMES)


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_a_script_is_three_lines(script: Path) -> None:
    assert script.read_text() == (
        "from rabc.commands.entry import run\n\n"
        f'if __name__ == "__main__":\n    run("{script.stem.replace("_", "-")}")\n'
    )


@pytest.mark.parametrize("words", [[], ["--help"], ["-h"], ["help"]], ids=" ".join)
def test_the_overview_names_every_command_by_purpose(monkeypatch, capsys, words: list[str]) -> None:
    code, out, err = rabc(monkeypatch, capsys, *words)
    assert (code, err) == (0, "")
    lines = out.splitlines()
    for purpose, commands in entry.COMMANDS.items():
        at = lines.index(purpose) + 1
        assert [line.split()[0] for line in lines[at : at + len(commands)]] == list(commands)
    assert "so101_pick.yaml" in out
    assert max(map(len, lines)) <= 100


@pytest.mark.parametrize("door", [[PROGRAM], MODULE], ids=["rabc", "python -m rabc"])
def test_both_doors_answer_without_importing_what_commands_need(door: list[str]) -> None:
    done = outside(*door, "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("usage: rabc <command>")


def test_help_imports_next_to_nothing() -> None:
    code = (
        "import sys; sys.argv = ['rabc']\n"
        "from rabc.commands import entry\n"
        "try:\n    entry.main()\nexcept SystemExit:\n    print(*sys.modules, file=sys.stderr)"
    )
    imported = outside(sys.executable, "-c", code).stderr.split()
    assert "rabc.commands.entry" in imported
    heavy = {"numpy", "torch", "jsonargparse", "yaml", "importlib.metadata", "lerobot", "rabc.config"}
    assert not heavy & set(imported)


def test_the_version_is_stated_once(monkeypatch, capsys) -> None:
    code, out, _ = rabc(monkeypatch, capsys, "--version")
    stated = tomllib.loads((REPO / "pyproject.toml").read_text())["project"]["version"]
    assert (code, out) == (0, f"rabc {stated}\n")


def test_it_says_where_the_shipped_files_are(monkeypatch, capsys) -> None:
    code, out, _ = rabc(monkeypatch, capsys, "--shipped")
    assert code == 0
    assert (Path(out.strip()) / "configs" / "lerobot" / "rollout_sim.yaml").is_file()


@pytest.mark.parametrize(
    ("word", "remedy"),
    [
        ("trian", "did you mean train?"),
        ("check_polcy", "did you mean check-policy?"),
        ("entry", "rabc --help lists them"),
        ("qqq", "rabc --help lists them"),
        ("--config", "name one first, e.g. rabc train --config"),
    ],
)
def test_an_unknown_command_is_one_line_and_exit_code_2(monkeypatch, capsys, word: str, remedy: str) -> None:
    code, out, err = rabc(monkeypatch, capsys, word, "so101_pick.yaml")
    assert (code, out, err) == (2, "", f"error: rabc {word}: no such command; {remedy}\n")


@pytest.mark.parametrize("name", NAMES)
def test_the_help_of_a_command_calls_it_by_its_name(monkeypatch, capsys, name: str) -> None:
    code, out, _ = rabc(monkeypatch, capsys, name, "--help")
    assert code == 0
    usage = f"usage: rabc {name} "
    assert out.startswith(usage) or (name == "async-client" and f"rabc {name} " in out)
    # Underscores as in the scripts' names, and `python -m rabc`, are the same command.
    main = str(REPO / "rabc" / "__main__.py")
    assert rabc(monkeypatch, capsys, name.replace("-", "_"), "-h", program=main) == (0, out, "")


def test_a_script_calls_itself_by_its_own_name() -> None:
    done = outside(sys.executable, "scripts/train.py", "--help")
    assert done.stdout.startswith("usage: train.py [--config NAME.yaml]")


def test_bad_input_ends_as_from_a_script(monkeypatch, capsys) -> None:
    code, out, err = rabc(monkeypatch, capsys, "train", "--trainer.max_stps", "3")
    assert (code, out) == (2, "")
    assert err.startswith("error: --trainer.max_stps 3: unknown key; did you mean trainer.max_steps?")
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize(
    ("words", "missing"),
    [
        (["results"], "docs/results.md"),
        (["benchmark", "inference", "--page", "docs/robot.md"], "docs/robot.md"),
    ],
    ids=["results", "benchmark"],
)
def test_what_writes_the_documentation_says_so_outside_a_clone(
    monkeypatch, capsys, tmp_path: Path, words: list[str], missing: str
) -> None:
    """At once, not after hours of measuring."""
    monkeypatch.chdir(tmp_path)
    code, _, err = rabc(monkeypatch, capsys, *words)
    assert code == 2
    assert missing in err
    assert len(err.splitlines()) == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["/home/me/.venv/bin/rabc", "compare", "--run", "a b"], "rabc compare --run 'a b'"),
        (["/clone/rabc/__main__.py", "check_policy", "folder"], "rabc check-policy folder"),
        (["scripts/compare.py", "--seeds", "3"], "python scripts/compare.py --seeds 3"),
        (["/clone/scripts/compare.py"], "python scripts/compare.py"),
    ],
)
def test_a_result_names_the_command_without_the_machine(
    argv: list[str], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", argv)
    assert command_line() == words


def test_windows_is_refused_in_one_line(tmp_path: Path) -> None:
    """By every door to every command, before anything heavy: there is no `fcntl` in Windows' Python."""
    code = (
        "import runpy, sys\n"
        "sys.modules['fcntl'] = None\n"
        "for door in sys.argv[1:]:\n"
        "    sys.argv = [door, '--help'] if door.endswith('.py') else ['rabc', door, '--help']\n"
        "    try:\n"
        "        if door.endswith('.py'): runpy.run_path(door, run_name='__main__')\n"
        "        else: runpy.run_module('rabc', run_name='__main__')\n"
        "    except SystemExit as ended: print(ended.code, 'rabc.config' not in sys.modules)\n"
    )
    done = outside(sys.executable, "-c", code, *map(str, SCRIPTS), *NAMES)
    doors = len(SCRIPTS) + len(NAMES)
    assert done.stdout.splitlines() == ["2 True"] * doors, done.stderr
    lines = done.stderr.splitlines()
    assert len(lines) == doors
    assert all(line.startswith("error: rabc on ") and "Linux and macOS" in line for line in lines)
