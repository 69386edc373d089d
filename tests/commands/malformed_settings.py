"""Malformed command lines and configurations."""

import os
from itertools import pairwise
from pathlib import Path

from tests.support.refusing import Case, Damage


def yaml(text: str | bytes) -> Damage:
    """Writes `own.yaml`."""
    return lambda: Path("own.yaml").write_bytes(text.encode() if isinstance(text, str) else text)


OWN = ("train", "--config", "own.yaml")
SMALL = ("train", "--config", "small.yaml")
COMMAND_LINE = (
    Case("a misspelt command", ("trian",), ("rabc trian: no such command", "did you mean train?")),
    Case("an option before the command", ("--config", "own.yaml"), ("rabc --config", "name one first")),
    Case("a file without its option", ("train", "so101_pick.yaml"), ("belongs to no option", "write --key")),
    Case(
        "an option without its value", ("train", "--trainer.max_steps"), ("no value", "give a whole number")
    ),
    Case("a flag with a value", ("train", "--dry_run=yes"), ("--dry_run=yes: a flag", "without a value")),
    Case(
        "two configurations",
        ("train", "--config", "a.yaml", "--config", "b.yaml"),
        ("--config a.yaml b.yaml", "give one"),
    ),
    Case(
        "a key with a line break in it", ("train", "--a\nb", "1"), ("--a\\nb 1: unknown key", "--help lists")
    ),
    Case(
        "a value with a terminal's escape sequence",
        ("train", "--trainer.max_steps", "\x1b[31mred"),
        ("'\\x1b[31mred': wrong type", "give a whole number"),
    ),
    Case(
        "a time for a number of steps",
        ("train", "--trainer.max_steps", "1:30"),
        ("trainer.max_steps '1:30': wrong type", "give a whole number"),
    ),
    Case(
        "a run name that is not Unicode",
        ("train", "--run", os.fsdecode(b"caf\xe9")),
        ("run 'caf\\udce9': not the name of one folder", "use letters"),
    ),
    Case(
        "a run name that reads from right to left",
        ("train", "--run", "\u202egnp"),
        ("run '\\u202egnp': not the name of one folder", "use letters"),
    ),
    Case(
        "a path with a null character",
        ("train", "--dataset.path", "a\0b"),
        ("dataset.path 'a\\x00b': has characters that are no text", "give a path"),
    ),
    Case("JSON without its end", ("train", "--policy.extra", '{"a":'), ("policy.extra", "give a mapping")),
    Case(
        "no demonstrations to record",
        ("record", "--dataset.path", "new", "--demonstrations.episodes", "0"),
        ("demonstrations.episodes 0", "give 1 or more"),
    ),
    Case(
        "a share that is not a number",
        ("record", "--dataset.path", "new", "--demonstrations.clean", "nan"),
        ("demonstrations.clean 'nan': wrong type", "give a number"),
    ),
    Case(
        "a recording where a file is",
        ("record", "--dataset.path", "small.yaml"),
        ("small.yaml",),
    ),
    Case(
        "no rollouts to train on",
        ("closed-loop", "--episodes", "0"),
        ("--episodes 0: too few", "give 1 or more"),
    ),
    Case(
        "a run's name that leads elsewhere",
        ("closed-loop", "--run", "../a"),
        ("run '../a': not the name of one folder", "use letters"),
    ),
    Case(
        "a kind of demonstration that there is not",
        ("plot-progress", "--kinds", "clean,jump"),
        ("kinds jump: unknown", "choose among clean"),
    ),
    Case(
        "an experiment that there is not",
        ("results", "--experiments", "no_such", "--dry_run"),
        ("no_such",),
    ),
    Case(
        "a benchmark that there is not", ("benchmark", "speed"), ("benchmark 'speed': unknown", "give one of")
    ),
    Case(
        "a time that is none",
        ("async-client", "--duration", "soon"),
        ("--duration 'soon': is no time", "give seconds"),
    ),
    Case(
        "a start state before the first held-out one",
        ("plot-progress", "--offset", "-1"),
        ("--offset -1: before the first held-out seed", "give 0 or more"),
    ),
    Case(
        "no episodes to train a scorer on",
        ("train-scorer", "--output", "new", "--episodes", "0"),
        ("--episodes 0: too small", "give 1 or more"),
    ),
    Case("no folder for the scorer", ("train-scorer",), ("--output: missing", "name the folder")),
    Case(
        "too few episodes to measure with",
        ("evaluate-scorer", "--episodes", "0"),
        ("--episodes 0: too few", "give 2 or more"),
    ),
    Case(
        "a file where simulated episodes should go",
        ("evaluate-scorer", "--data", "small.yaml"),
        ("--data small.yaml: cannot hold simulated episodes", "name a folder"),
    ),
)
YAML = (
    Case(
        "a tag that would run a command",
        OWN,
        ("own.yaml line 1: not valid YAML", "python/object/apply:os.system", "mend that line"),
        yaml("run: !!python/object/apply:os.system [ls]"),
    ),
    Case(
        "a key twice",
        OWN,
        ("own.yaml line 2: not valid YAML (the key seed is given twice)", "mend that line"),
        yaml("seed: 1\nseed: 2\n"),
    ),
    Case(
        "a misspelt key",
        OWN,
        ("own.yaml: trainer.max_step 1: unknown key", "did you mean trainer.max_steps?"),
        yaml("trainer: {max_step: 1}"),
    ),
    Case("a list", OWN, ("own.yaml: not a mapping", "give `key: value` lines"), yaml("- a\n- b\n")),
    Case("a section with a text", OWN, ("trainer 'fast': a section", "give keys"), yaml("trainer: fast")),
    Case("a tab", OWN, ("own.yaml line 2: not valid YAML", "mend that line"), yaml("trainer:\n\tlr: 1\n")),
    Case("two documents", OWN, ("own.yaml line 2: not valid YAML", "mend"), yaml("seed: 1\n---\nseed: 2\n")),
    Case(
        "a null character", OWN, ("own.yaml: not YAML text", "give a file like those"), yaml(b"run: a\0b\n")
    ),
    Case(
        "Latin-1 instead of UTF-8",
        OWN,
        ("own.yaml: not YAML text", "give a file like those"),
        yaml("run: café".encode("latin-1")),
    ),
    Case(
        "a picture", OWN, ("own.yaml: not YAML text", "give a file like"), yaml(b"\xff\xd8\xff\xe0\0\x10JFIF")
    ),
    Case(
        "brackets without end",
        OWN,
        ("own.yaml: is nested too deeply", "give a file like those"),
        yaml("run: " + "[" * 5000),
    ),
    Case(
        "a section that is its own value",
        OWN,
        ("own.yaml: is nested too deeply", "give a file like those"),
        yaml("dataset: &a {path: *a}"),
    ),
    Case(
        "aliases of aliases, a thousand million values",
        OWN,
        ("own.yaml: holds more than 10000 values", "write fewer"),
        yaml(
            "a: &a [x, x, x, x, x, x, x, x, x, x]\n"
            + "\n".join(f"{b}: &{b} [{', '.join([f'*{a}'] * 10)}]" for a, b in pairwise("abcdefghi"))
        ),
    ),
    Case(
        "a month 13",
        OWN,
        ("own.yaml line 1: not valid YAML (2024-13-45 is no date)", "mend that line"),
        yaml("run: 2024-13-45"),
    ),
    Case(
        "a number of five thousand digits",
        OWN,
        ("own.yaml line 1: not valid YAML", "is no whole number", "mend that line"),
        yaml("seed: " + "9" * 5000),
    ),
    Case(
        "a learning rate beyond all numbers",
        OWN,
        ("trainer.lr inf: not a finite number", "give a finite one"),
        yaml("trainer: {lr: 1e400}"),
    ),
    Case(
        "a folder for a file",
        OWN,
        ("--config own.yaml: is no file that can be read", "give a YAML file"),
        lambda: Path("own.yaml").mkdir(),
    ),
    Case(
        "a pipe for a file",
        OWN,
        ("--config own.yaml: is no file that can be read", "give a YAML file"),
        lambda: os.mkfifo("own.yaml"),
    ),
    Case(
        "a link to itself",
        OWN,
        ("--config own.yaml: is no file that can be read", "give a YAML file"),
        lambda: os.symlink("own.yaml", "own.yaml"),
    ),
    Case(
        "an arm of a comparison with a misspelt key",
        ("compare", "--config", "own.yaml"),
        ("comparison.arms.mine.schem 'awr': unknown key", "did you mean scheme?"),
        yaml("comparison: {arms: {mine: {schem: awr}}}"),
    ),
    Case(
        "an arm whose name leads elsewhere",
        ("compare", "--config", "own.yaml"),
        ("comparison.arms '../a': not the name of one folder", "use letters"),
        yaml("comparison: {arms: {../a: {scheme: awr}}}"),
    ),
    Case(
        "a table of the paper without datasets",
        ("paper", "--config", "own.yaml"),
        ("paper.datasets: empty", "use a configuration such as"),
        yaml("paper: {datasets: {}}"),
    ),
    Case(
        "a table of the paper with a list for a figure",
        ("paper", "--config", "own.yaml"),
        ("paper.datasets", "no number"),
        yaml("paper: {datasets: {lerobot/pusht: [1]}}"),
    ),
)
