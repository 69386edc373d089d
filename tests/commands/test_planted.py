"""Nothing that others planted in a folder or file is run by any command of ours.

Every option of every command that takes a folder or a file is listed here by what it is given; one that is
not fails the first test. Then each is given everything planted of its kind: the canary never appears, and the
answer is a finding or a line. The commands run in this process: importing LeRobot anew for each takes long.
"""

import contextlib
import faulthandler
import importlib
import io
import pickle
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from rabc.commands import entry
from rabc.config import cli
from rabc.config.arguments import Argument
from rabc.datasets.metadata import load_meta
from rabc.policies.build import build_policy
from tests.datasets.test_metadata import OUTSIDE
from tests.policies.test_build import ACT, saved
from tests.policies.test_door import PLANTS
from tests.scoring.test_foreign_model import REFUSED, own_classes
from tests.support import REPO
from tests.support.damaging import edit_episodes, edit_info, edit_rows, edit_tasks
from tests.support.simulating import simulating_here
from tests.training.test_foreign_checkpoint import Evil, archived, compiled, old_pickled, pickled

SCORER = REPO / "checkpoints" / "so101-scorer"
COMMANDS = [name for group in entry.COMMANDS.values() for name in group]
POLICIES = (
    "a command", "a command behind the policy", "a function", "a class in a registered step's clothes",
    "a module of the folder", "a tokenizer with code", "a language model with code",
    "a tokenizer with hidden code", "a link out of the folder", "a pickle as state", "layers without end",
    "a pipe",
)  # fmt: skip
Made = Callable[[Path, Path], object]
"""Makes what is planted at a path that is not there, so that it would make the second path, the canary."""

READ = {
    "config": "yaml", "config_path": "lerobot yaml", "dataset.path": "dataset", "recorded": "dataset",
    "labels": "table", "scorer.model": "scorer", "policy.pretrained_path": "policy", "policy": "policy",
    "folder": "policy", "pretrained_name_or_path": "policy", "checkpoint": "checkpoint", "video": "video",
    "weights.progress_file": "table", "weights.weights_file": "table", "data": "episodes",
}  # fmt: skip
"""Option -> what is read there."""
WRITTEN = {"output", "json", "page", "scorer.scores_folder"}
"""Options that name places where something of ours goes."""
SETTLED = {
    "dataset.path",
    "scorer.model",
    "policy.pretrained_path",
    "weights.progress_file",
    "weights.weights_file",
}
"""Keys of the configuration that `rabc.config.places` takes for paths."""


def options(command: str) -> dict[str, Argument]:
    """The options of a command, as its own `--help` is made of them."""
    found: dict[str, Argument] = {}
    words = {"benchmark": ["rollouts", "--help"]}.get(command, ["--help"])
    with pytest.MonkeyPatch.context() as patched:

        def collected(description: str, groups: dict[str, list[Argument]]) -> Any:
            found.update({item.name: item for group in groups.values() for item in group})
            raise SystemExit(0)

        patched.setattr(cli, "build_parser", collected)
        with contextlib.suppress(SystemExit), contextlib.redirect_stdout(io.StringIO()):
            importlib.import_module(f"rabc.commands.{command.replace('-', '_')}").main(words)
    return found


OTHERS = {
    "check-policy": {"folder", "dataset.path"},  # argparse's
    "async-client": {"config_path", "pretrained_name_or_path"},  # LeRobot's
}
"""What commands read that have a parser of another kind."""
GIVEN = {"compare": ["recorded", "labels"], "benchmark": ["policy"]}
"""Options that say of themselves neither that they are paths nor what for."""


def read_by(command: str) -> list[str]:
    """The options of a command under which it reads what others may have made."""
    own = options(command)
    paths = {name for name, item in own.items() if item.is_path or name in SETTLED or name == "config"}
    unknown = paths - set(READ) - WRITTEN
    assert not unknown, f"rabc {command}: what is read under {unknown}? Say so in READ or WRITTEN"
    assert own or command in OTHERS, f"rabc {command}: has a parser of its own; list what it reads in OTHERS"
    return sorted((paths & set(READ)) | OTHERS.get(command, set()) | set(GIVEN.get(command, [])))


def test_every_command_says_what_it_reads() -> None:
    """A new command, or a new option with a path, is given what is planted, or this fails."""
    assert {command: read_by(command) for command in COMMANDS}.keys() == set(COMMANDS)
    assert set(READ.values()) == set(MADE)
    assert len(POLICIES) >= 10
    assert "policy.pretrained_path" in read_by("train")
    for option in SETTLED | {"checkpoint", "video", "data", "recorded", "policy", "folder"}:
        assert any(option in read_by(command) for command in COMMANDS), option


@pytest.fixture(scope="module")
def good(recorded_dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    parts = build_policy(ACT, load_meta(recorded_dataset))
    return saved(parts, recorded_dataset, tmp_path_factory.mktemp("planted") / "policy")


def policy(name: str) -> Made:
    def make(path: Path, canary: Path) -> None:
        shutil.copytree(path.parent / "good policy", path)
        PLANTS[name][0](path, canary)

    return make


def scorer(plant: Made) -> Made:
    def make(path: Path, canary: Path) -> None:
        shutil.copytree(SCORER, path)
        plant(path, canary)

    return make


def dataset(change: Callable[[Path, Path], object]) -> Made:
    def make(path: Path, canary: Path) -> None:
        shutil.copytree(path.parent / "good dataset", path, ignore=shutil.ignore_patterns(".rabc"))
        change(path, canary)

    return make


def pickled_parts(path: Path, canary: Path) -> None:
    """Under every name that a table or statistics may have."""
    for name in ("meta/stats.json", "meta/tasks.parquet", "meta/episodes/chunk-000/file-000.parquet"):
        (path / name).write_bytes(pickle.dumps(Evil(canary)))


def commands_as_texts(path: Path, canary: Path) -> None:
    def change(tasks: pd.DataFrame) -> pd.DataFrame:
        tasks.index = pd.Index([f"$(touch {canary}); `touch {canary}` {{{{7*7}}}}"] * len(tasks), name="task")
        return tasks

    edit_tasks(path, change)


def checkpoint(make_file: Made) -> Made:
    """A training's folder, with a checkpoint in it and what describes it."""

    def make(path: Path, canary: Path) -> None:
        (path / "checkpoints").mkdir(parents=True)
        make_file(path / "checkpoints" / "step=5.ckpt", canary)
        (path / "identity.json").write_text(
            '{"policy": {"type": "act"}, "trainer": {"max_steps": 5}, "seed": 0}'
        )

    return make


def text(content: str) -> Made:
    return lambda path, canary: path.write_text(content.replace("CANARY", str(canary)))


def pickles(path: Path, canary: Path) -> None:
    path.write_bytes(pickle.dumps(Evil(canary)))


def files_of_pickles(path: Path, canary: Path) -> None:
    for name in ("test", "train", "."):
        (path / name).mkdir(parents=True, exist_ok=True)
        for start in ("3000000", "2000000", "0"):
            pickles(path / name / f"{start}.npz", canary)


YAMLS = {
    "a call": "run: !!python/object/apply:os.mkdir ['CANARY']\n",
    "an object": "run: !!python/object/new:pathlib.Path ['CANARY']\n",
    "a module": "run: !!python/module:antigravity\n",
    "an include": "run: !include CANARY\n",
}
MADE: dict[str, dict[str, Made]] = {
    "policy": {name: policy(name) for name in POLICIES},
    "scorer": {name: scorer(plant) for name, plant in {**REFUSED, "classes of its own": own_classes}.items()},
    "dataset": {
        **{
            name: dataset(lambda path, canary, change=change: edit_info(path, change))
            for name, (change, _) in list(OUTSIDE.items())[:8]
        },
        "pickles": dataset(pickled_parts),
        "commands as texts": dataset(commands_as_texts),
    },
    "checkpoint": {make.__name__: checkpoint(make) for make in (pickled, old_pickled, archived, compiled)},
    "table": {
        "a pickle": pickles,
        "a formula": text("index,weight\n$(touch CANARY),=cmd|'touch CANARY'!A0\n"),
    },
    "yaml": {name: text(content) for name, content in YAMLS.items()},
    "lerobot yaml": {name: text(content) for name, content in YAMLS.items()},
    "video": {"a pickle": pickles, "a playlist": text("#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n")},
    "episodes": {"episodes of pickles": files_of_pickles},
}
HARMLESS = {"classes of its own", "commands as texts", "episodes of pickles"}
"""What is passed over: the command goes on with the rest, or makes it anew."""

UNREAD = {
    *(
        (command, f"weights.{name}_file")
        for command in ("score", "diagnose")
        for name in ("progress", "weights")
    ),
    ("export", "dataset.path"),
    *(("compare", key) for key in SETTLED),
    ("closed-loop", "dataset.path"),
}
"""Keys that a command does not look at, or only after it has recorded or got a checkpoint of one's own, and
then as `train` does: nothing may run all the same, but the answer is about something else."""
SMALL = [
    "--demonstrations.simulate", "false", "--rollouts.episodes", "0", "--policy.chunk_size", "5",
    "--policy.n_action_steps", "5",
    "--trainer.max_steps", "2", "--trainer.batch_size", "2", "--trainer.warmup_steps", "1",
    "--scorer.num_prefixes", "2", "--device", "cpu",
]  # fmt: skip
NARROW = ["--policy.dim_model", "32", "--policy.n_heads", "2"]
LENIENT = ["--seeds", "1", "--arms", "plain,weighted", "--weights.accept_poor_scorer", "true"]
SCORED = ["--scorer.model", str(SCORER), "--scorer.num_prefixes", "2", "--device", "cpu"]


def words(command: str, option: str, planted: Path, good_dataset: Path) -> list[str]:
    """A command line that reads what is planted under an option, and is otherwise in order."""
    on_dataset = ["--dataset.path", str(good_dataset)]
    scored = SCORED if option != "scorer.model" else SCORED[2:]
    own: dict[str, list[str]] = {
        "record": ["--demonstrations.episodes", "1"],
        "check-dataset": ["--quick"],
        "score": [*scored, *on_dataset],
        "diagnose": [*scored, *on_dataset, "--policy.chunk_size", "5", "--policy.n_action_steps", "5"],
        "train": [*SMALL, *on_dataset],
        "compare": [
            *SMALL[4:],
            "--demonstrations.episodes",
            "1",
            *on_dataset,
            "--scorer.model",
            str(SCORER),
            *LENIENT,
            "--rollouts",
            "1",
        ],
        "closed-loop": [*SMALL[4:], "--rollouts.episodes", "1", "--demonstrations.episodes", "1"],
        "export": on_dataset,
        "check-policy": on_dataset,
        "async-client": ["--policy_type=act", "--duration=1"],
        "benchmark": ["rollouts", "--quick", "--repeats", "1"],
        "paper": [*scored, "--paper.datasets", f'{{"{good_dataset}": null}}', "--paper.episodes", "1"],
        "train-scorer": [
            "--output",
            "scorer",
            "--episodes",
            "2",
            "--test_episodes",
            "2",
            "--align_steps",
            "1",
            "--glance_steps",
            "1",
            "--clip_steps",
            "1",
        ],
        "evaluate-scorer": [*scored, "--episodes", "2"],
        "plot-progress": [*scored, "--kinds", "clean"],
    }
    rest = own.get(command, [])
    if option == "dataset.path":
        rest = [word for word in rest if word not in on_dataset]
    if option == "scorer.model" and "--scorer.model" in rest:
        del rest[(at := rest.index("--scorer.model")) : at + 2]
    if option == "policy.pretrained_path":
        rest += ["--policy.batch_norm", "frozen", "--policy.pretrained_backbone_weights", "null"]
        rest += [] if command == "compare" else ["--weights.scheme", "none"]
    elif command in ("train", "compare", "closed-loop"):
        rest += NARROW
    if option == "weights.weights_file":
        rest += ["--weights.scheme", "static"]
    if option in ("recorded", "labels"):
        other = planted if option == "recorded" else planted.parent / "one task"
        rest = [*SCORED, "--recorded", f"a={other}", "--recorded", f"b={good_dataset}"]
        return [*rest, *(["--labels", f"a={planted}"] if option == "labels" else [])]
    if option == "video":
        return [*SCORED, "--video", str(planted), "--instruction", "Pick."]
    if option == "folder":
        return [str(planted), *rest]
    if command == "async-client":
        found = {
            "config_path": REPO / "configs" / "lerobot" / "async_sim.yaml",
            "pretrained_name_or_path": planted.parent / "good policy",
        }
        return [*rest, *(f"--{name}={path}" for name, path in {**found, option: planted}.items())]
    return [*rest, f"--{option}", str(planted)]


Run = Callable[..., tuple[object, str]]


@pytest.fixture
def run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], good: Path,
    recorded_dataset: Path,
) -> Run:  # fmt: skip
    """Gives a command, in an empty folder, something planted under an option: exit code, and what it said."""
    for name in ("XDG_CACHE_HOME", "XDG_DATA_HOME", "RABC_CACHE"):
        monkeypatch.setenv(name, str(tmp_path / name))
    monkeypatch.setattr(sys, "path", list(sys.path))

    def run(command: str, option: str, plant: str) -> tuple[object, str]:
        place = tmp_path / "place"
        shutil.rmtree(place, ignore_errors=True)
        (place / "work").mkdir(parents=True)
        monkeypatch.chdir(place / "work")
        (place / "good policy").symlink_to(good)
        (place / "good dataset").symlink_to(recorded_dataset)
        if option == "labels":
            shutil.copytree(recorded_dataset, place / "one task", ignore=shutil.ignore_patterns(".rabc"))
            edit_episodes(place / "one task", lambda rows: rows.assign(tasks=[["Pick."]] * len(rows)))
            edit_rows(place / "one task", lambda rows: rows.assign(task_index=0))
        canary = place / "canary"
        planted = place / ("foreign.yaml" if "yaml" in READ[option] else "foreign")
        MADE[READ[option]][plant](planted, canary)
        argv = words(command, option, planted, recorded_dataset)
        monkeypatch.setattr(sys, "argv", ["rabc", command, *argv])
        capfd.readouterr()
        with simulating_here(), pytest.raises(SystemExit) as ended:
            entry.run(command, argv)
        said = capfd.readouterr()
        assert not canary.exists()
        return ended.value.code, said.out + said.err

    return run


def assert_answered(code: object, said: str, plant: str) -> None:
    """One line that names it and exit code 2, or a finding and 1; what is harmless may pass."""
    assert "Traceback" not in said, said
    assert "[y/N]" not in said
    if plant in HARMLESS and code in (0, 1, 2, 3):
        return
    lines = said.replace("\r", "\n").splitlines()
    errors = [line for line in lines if line.startswith("error: ")]
    assert len(errors) == 1, said
    named = ("/foreign", "could not be measured", "error: scorer: its chat template")
    assert any(words in errors[0] for words in named), said
    if plant in POLICIES:
        assert "it is not loaded" in errors[0] or "foreign code" in said, said
    assert code == 2 or (code == 1 and any(word in said for word in ("FAIL", "REFUSED", "could not be"))), (
        said
    )


def cases() -> Iterator[tuple[str, str, str]]:
    for command in COMMANDS:
        for option in read_by(command):
            for plant in MADE[READ[option]]:
                yield command, option, plant


@pytest.mark.parametrize(
    ("command", "option", "plant"),
    [
        ("check-policy", "folder", "a command"),
        ("train", "policy.pretrained_path", "a command"),
        ("train", "policy.pretrained_path", "a pipe"),
        ("async-client", "pretrained_name_or_path", "a function"),
        ("benchmark", "policy", "a module of the folder"),
        ("benchmark", "policy", "a pipe"),
        ("check-dataset", "dataset.path", "pickles"),
        ("score", "scorer.model", "a kind of its own"),
        ("export", "checkpoint", "pickled"),
        ("train", "config", "a call"),
    ],
)
def test_a_plant_of_each_kind(run: Run, command: str, option: str, plant: str) -> None:
    code, said = run(command, option, plant)
    assert_answered(code, said, plant)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("command", COMMANDS)
def test_whatever_is_planted_no_command_runs_it(run: Run, command: str) -> None:
    faulthandler.cancel_dump_traceback_later()  # pytest's, which ends the run after some minutes
    problems: list[str] = []
    lines: list[str] = []
    for own, option, plant in cases():
        if own != command:
            continue
        code, said = run(command, option, plant)
        lines.append(f"--{option} with {plant}: {code}, {said.strip().splitlines()[-1:]}")
        if (command, option) in UNREAD:
            continue
        try:
            assert_answered(code, said, plant)
        except AssertionError as error:
            problems.append(f"rabc {command} --{option} with {plant}: {code}, {error}")
    print("", *lines, sep="\n")
    assert not problems, "\n\n".join(problems)
