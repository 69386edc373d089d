"""What a command says to malformed input: the real command, in this process, in a folder of its own."""

import contextlib
import hashlib
import json
import os
import re
import shutil
import stat
import sys
import tempfile
import traceback
from collections.abc import Callable, Generator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from tests.support import REPO

Damage = Callable[[], object]
"""Changes the folder worked in, which holds copies of what the case takes from the stock."""
HOMES = ("XDG_CACHE_HOME", "RABC_CACHE", "XDG_DATA_HOME")
"""Where this program keeps what it has worked out of a dataset: not to be mixed with the user's own."""
CHECKPOINT = Path("outputs", "so101_pick", "training-0123456789abcdef", "checkpoints", "step=1.ckpt")
SMALL = """\
device: cpu
dataset: {path: arm}
demonstrations: {simulate: false}
rollouts: {episodes: 0}
scorer: {num_prefixes: 2}
policy: {chunk_size: 5, n_action_steps: 5, dim_model: 32, n_heads: 4, dim_feedforward: 64}
trainer: {max_steps: 2, batch_size: 2, warmup_steps: 1}
"""
"""`small.yaml`, which lies in the folder of every case."""


@dataclass(frozen=True)
class Case:
    """One malformed input."""

    name: str
    """What is wrong with it, in plain words."""
    command: tuple[str, ...]
    """Words behind `rabc`; paths are those of the folder worked in."""
    says: tuple[str, ...]
    """What the line must contain: the thing, and the remedy."""
    damage: Damage = lambda: None
    takes: tuple[str, ...] = ()
    """Of the stock, by name; none: nothing lies there but `small.yaml`."""
    slow: bool = False
    """Whether it takes more than a moment."""


@dataclass(frozen=True)
class Outcome:
    """What a command did."""

    code: int
    said: str
    """On stderr, of the process and what it calls."""


def make_stock(dataset: Path, folder: Path) -> Path:
    """The whole things that the cases damage copies of; gives `folder`, which gets them.

    `arm` is `dataset`, the small recorded one; `policy` a policy folder for it and `outputs` a run with the
    checkpoint of it; `scorer` the small scorer.
    """
    import torch
    from matplotlib import font_manager

    from rabc.config import cli
    from rabc.datasets.fingerprint import fingerprint
    from rabc.datasets.metadata import load_meta
    from rabc.export.folder import lerobot_train_config, write_policy
    from rabc.policies.build import build_policy
    from tests.support import small_resnet

    font_manager.findfont("sans")  # its list of fonts is made where the user's cache is now
    shutil.copytree(dataset, folder / "arm", ignore=shutil.ignore_patterns(".*"))
    shutil.copytree(REPO / "checkpoints" / "so101-scorer", folder / "scorer")
    (folder / "small.yaml").write_text(SMALL)
    with working_in(folder), environment(homes(folder / "homes")):
        config = cli.parse(["--config", "small.yaml"], None).config
        config = replace(config, policy=replace(config.policy, vision_backbone=small_resnet.NAME))
        meta = load_meta(Path("arm"))
        parts = build_policy(config.policy, meta)
        write_policy(parts, Path("policy"), lerobot_train_config(config, meta, parts.policy))
        CHECKPOINT.parent.mkdir(parents=True)
        torch.save({"state_dict": parts.policy.state_dict()}, CHECKPOINT)
        known = {"policy": asdict(config.policy), "trainer": asdict(config.trainer), "seed": config.seed}
        identity = {**known, "dataset": fingerprint(Path("arm"))}
        (CHECKPOINT.parents[1] / "identity.json").write_text(json.dumps(identity))
    return folder


def lay_out(case: Case, stock: Path, folder: Path) -> None:
    """Fills the empty `folder` with what the case takes, and damages it."""
    for name in ("small.yaml", *case.takes):
        source = stock / name
        if source.is_dir():
            shutil.copytree(source, folder / name, symlinks=True)
        else:
            shutil.copy(source, folder / name)
    with working_in(folder):
        case.damage()


def run(case: Case, folder: Path, kept: Path) -> Outcome:
    """Runs the case's command in `folder`; what it keeps for later goes below `kept`."""
    from rabc.commands import entry

    with working_in(folder), environment(homes(kept)), captured() as said:
        try:
            sys.argv = ["rabc", *case.command]
            entry.main()
        except SystemExit as ended:
            code = ended.code
        except Exception:
            traceback.print_exc()
            code = 1
    assert isinstance(code, int)
    return Outcome(code, said[0])


def refusal(outcome: Outcome, folder: Path) -> str:
    """The line without `error:` and without what this machine calls its folders."""
    line = lines(outcome)[-1].removeprefix("error: ")
    for path, name in ((f"{folder.resolve()}/", ""), (str(folder.resolve()), "."), (str(REPO), "<rabc>")):
        line = line.replace(path, name)
    return line


def tree(folder: Path) -> Mapping[str, str]:
    """Every path below `folder`, and what it is: a file's content, a link's target."""
    found: dict[str, str] = {}
    for path in sorted(folder.rglob("*")):
        mode, what = path.lstat().st_mode, "not to be read"
        if stat.S_ISLNK(mode):
            what = f"link to {os.readlink(path)}"
        elif stat.S_ISREG(mode):
            with contextlib.suppress(PermissionError):
                what = hashlib.sha256(path.read_bytes()).hexdigest()
        else:
            what = "folder" if stat.S_ISDIR(mode) else "special"
        found[str(path.relative_to(folder))] = what
    return found


def homes(folder: Path) -> Mapping[str, str]:
    """Environment variables by which everything that is kept for later goes below `folder`; makes it."""
    for name in HOMES:
        (folder / name).mkdir(parents=True, exist_ok=True)
    return {name: str(folder / name) for name in HOMES}


@contextlib.contextmanager
def working_in(folder: Path) -> Generator[None]:
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


@contextlib.contextmanager
def environment(values: Mapping[str, str]) -> Generator[None]:
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@contextlib.contextmanager
def captured() -> Generator[list[str]]:
    """A list that holds, once the block has ended, what went to stderr; stdout goes nowhere.

    Of the process as a whole: libraries in C and loading processes write there as well.
    """
    said: list[str] = []
    before = sys.stdout, sys.stderr, sys.argv
    kept = [os.dup(number) for number in (1, 2)]
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="backslashreplace") as file:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        sys.stdout.flush()
        sys.stderr.flush()
        os.dup2(nowhere, 1)
        os.dup2(file.fileno(), 2)
        with open(os.devnull, "w") as out, os.fdopen(os.dup(2), "w", errors="backslashreplace") as err:
            sys.stdout, sys.stderr = out, err
            try:
                yield said
            finally:
                err.flush()
                sys.stdout, sys.stderr, sys.argv = before
                for number, copy in zip((1, 2), kept, strict=True):
                    os.dup2(copy, number)
                    os.close(copy)
                os.close(nowhere)
                file.seek(0)
                said.append(file.read())


_NOTE = re.compile(r"\d+%\||\[[\w,]+ @ 0x")
"""In a line of a bar, or of libav: it is heard from in a process in which LeRobot has recorded."""


def lines(outcome: Outcome) -> list[str]:
    """What was said, without bars and libav."""
    return [line for line in re.split(r"[\r\n]+", outcome.said) if line.strip() and not _NOTE.search(line)]


_MARK = re.compile(r"([|<>*\\])")


def cell(text: str) -> str:
    """Text as it stands in a cell of a table in Markdown; what is in its backticks is code there, too."""
    marked = _MARK.sub(r"\\\1", text)
    return marked if text.count("`") % 2 == 0 else marked.replace("`", "\\`")
