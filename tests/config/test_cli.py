"""The command line: precedence, help, and every problem in one message."""

import resource
import subprocess
import sys
from pathlib import Path
from typing import Literal

import pytest
import yaml

from rabc.config import cli
from rabc.config.settings import Config
from rabc.system.errors import CheckFailed, InputError, VerdictRefused
from tests.support import REPO

TRAIN = REPO / "scripts" / "train.py"
HEAVY = {"torch", "lerobot", "transformers", "lightning", "mujoco", "numpy"}


def parse_error(*argv: str, sections: tuple[str, ...] | None = None) -> str:
    with pytest.raises(InputError) as caught:
        cli.parse(argv, "", sections)
    return str(caught.value)


def write(folder: Path, text: str) -> str:
    path = folder / "experiment.yaml"
    path.write_text(text)
    return str(path)


def command(*argv: str, cwd: Path = REPO) -> tuple[subprocess.CompletedProcess[str], float]:
    """Runs the real command; also its CPU time in seconds, which a busy machine does not stretch."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [sys.executable, str(TRAIN), *argv], cwd=cwd, capture_output=True, text=True, timeout=60
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return done, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def test_no_arguments_give_the_defaults() -> None:
    assert cli.parse([], "").config == Config()


def test_command_line_beats_yaml_beats_default(tmp_path: Path) -> None:
    path = write(tmp_path, "seed: 1\ntrainer:\n  lr: 3e-4\n  max_steps: 500\n")
    config = cli.parse(["--config", path, "--trainer.max_steps", "200", "--weights.scheme=none"], "").config
    assert (config.seed, config.trainer.lr, config.trainer.max_steps) == (1, 3e-4, 200)
    assert config.weights.scheme == "none"
    assert config.policy == Config().policy


def test_overrides_are_typed() -> None:
    argv = ["--run", "3", "--scorer.fps", "5", "--policy.use_vae", "false", "--scorer.revision", "null"]
    config = cli.parse(argv, "").config
    assert (config.run, config.scorer.fps, config.policy.use_vae) == ("3", 5.0, False)
    assert config.scorer.revision is None
    assert isinstance(config.scorer.fps, float)


def test_extra_policy_fields_are_free_and_merge(tmp_path: Path) -> None:
    path = write(tmp_path, "policy:\n  extra:\n    latent_dim: 16\n    note: '3'\n    rate: 1e-5\n")
    config = cli.parse(["--config", path, "--policy.extra.latent_dim", "8"], "").config
    assert config.policy.extra == {"latent_dim": 8, "note": "3", "rate": 1e-5}


def test_all_problems_are_reported_at_once(tmp_path: Path) -> None:
    path = write(tmp_path, "trainer:\n  max_step: 200\nseed: abc\npolicy:\n  n_action_steps: 30\n")
    message = parse_error("--config", path, "--weights.scheme", "best", "--rollouts.episodes", "-1", "stray")
    assert message.startswith("6 problems")
    for expected in (
        "experiment.yaml: trainer.max_step 200: unknown key; did you mean trainer.max_steps?",
        "experiment.yaml: seed 'abc': wrong type; give a whole number, e.g. 0",
        "--weights.scheme 'best': not a choice; give one of none, auto, topreward, rabc, awr, mask, filter, "
        "static",
        "policy.n_action_steps 30: more than policy.chunk_size 20 predicts; give 20 or less",
        "rollouts.episodes -1: too small; give 0 or more",
    ):
        assert expected in message


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        ("--max_steps", "trainer.max_steps"),
        ("--training.lr", "trainer.lr"),
        ("--trainer.bach_size", "trainer.batch_size"),
        ("--wights.scheme", "weights.scheme"),
        ("--print_confg", "print_config"),
    ],
)
def test_unknown_key_names_the_nearest(word: str, meant: str) -> None:
    assert parse_error(word, "1") == f"{word} 1: unknown key; did you mean {meant}?"


def test_a_key_of_an_earlier_version_says_what_took_its_place() -> None:
    said = parse_error("--dataset.cache_folder", "/fast")
    assert said == (
        "--dataset.cache_folder /fast: no key any more; set the environment variable RABC_CACHE to the folder"
    )


def test_unknown_key_without_a_near_one_points_to_help() -> None:
    assert parse_error("--xyzzy", "1") == "--xyzzy 1: unknown key; --help lists the keys"


@pytest.mark.parametrize(
    ("argv", "part"),
    [
        (["--seed"], "--seed: no value; give a whole number"),
        (["--seed", "2.5"], "--seed '2.5': wrong type; give a whole number"),
        (["--seed", "null"], "--seed 'null': wrong type"),
        (["--policy.use_vae", "perhaps"], "give true or false"),
        (["--scorer.fps", "fast"], "--scorer.fps 'fast': wrong type; give a number or null"),
        (["--trainer", "5"], "--trainer: a section; set its keys, e.g. --trainer.max_steps"),
        (["--print_config=yes"], "--print_config=yes: a flag; give it without a value"),
        (["--config"], "--config: no value"),
        (["--config", "a.yaml", "--config", "b.yaml"], "given twice"),
        (["--policy.extra", "5"], "give a mapping of names to values"),
        (["-x"], "-x: belongs to no option"),
    ],
)
def test_bad_words_name_option_and_remedy(argv: list[str], part: str) -> None:
    assert part in parse_error(*argv)


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("seed: [1\n", "experiment.yaml line 2: not valid YAML"),
        ("seed: 1\nseed: 2\n", "experiment.yaml line 2: not valid YAML (the key seed is given twice)"),
        ("? [seed]\n: 1\n", "experiment.yaml line 1: not valid YAML"),
        ("run: 2026-11-15\n", "wrong type; give text (in quotes"),
        ("- seed\n", "not a mapping"),
        ("trainer: 5\n", "trainer 5: a section, not a value"),
        ("run: 3\n", "run 3: wrong type; give text (in quotes if it looks like a number)"),
        ("run: null\n", "run null: wrong type"),
        ("seed: {}\n", "seed {}: wrong type"),
        ("seed: {a: 1}\n", "seed.a 1: unknown key"),
        ("seed: true\n", "seed True: wrong type"),
        ("policy: {extra: null}\n", "policy.extra null: wrong type"),
        ("policy: {extra: {1: 2}}\n", "policy.extra {1: 2}: wrong type"),
        ("dry_run: true\n", "dry_run True: unknown key; --help lists the keys"),
    ],
)
def test_bad_yaml_names_file_key_and_remedy(tmp_path: Path, text: str, part: str) -> None:
    assert part in parse_error("--config", write(tmp_path, text))


@pytest.mark.parametrize("text", ["", "# nothing yet\n", "trainer:\n", "trainer: {}\n"])
def test_empty_files_and_sections_state_nothing(tmp_path: Path, text: str) -> None:
    assert cli.parse(["--config", write(tmp_path, text)], "").config == Config()


def test_file_that_is_not_text(tmp_path: Path) -> None:
    path = tmp_path / "weights.yaml"
    path.write_bytes(b"\xff\xfe\x00\x81")
    assert "not YAML text" in parse_error("--config", str(path))


def test_missing_config_names_the_shipped_ones() -> None:
    message = parse_error("--config", "absent.yaml")
    assert "--config absent.yaml: no such file" in message
    assert "so101_pick.yaml" in message


def test_a_mistyped_key_causes_no_second_complaint() -> None:
    message = parse_error("--policy.chunk_size", "many", "--policy.n_action_steps", "30")
    assert message == "--policy.chunk_size 'many': wrong type; give a whole number, e.g. 20"


def test_sections_limit_help_and_overrides_but_not_the_yaml(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sections = ("seed", "demonstrations")
    with pytest.raises(SystemExit) as stop:
        cli.parse(["--help"], "Records.", sections)
    assert stop.value.code == 0
    text = capsys.readouterr().out
    assert "Records." in text
    assert "--demonstrations.stall" in text
    assert "--seed" in text
    assert "--trainer" not in text
    assert "--run" not in text
    path = write(tmp_path, "trainer:\n  lr: 0.5\n")
    assert cli.parse(["--config", path], "", sections).config.trainer.lr == 0.5
    assert parse_error("--trainer.lr", "1", sections=sections) == (
        "--trainer.lr: not used by this command; leave it out"
    )
    assert "trainer.lr 'a': wrong type" in parse_error(
        "--config", write(tmp_path, "trainer:\n  lr: a\n"), sections=sections
    )


def test_extra_arguments_come_back_typed(capsys: pytest.CaptureFixture[str]) -> None:
    extra = [
        cli.DRY_RUN,
        cli.Argument("minutes", float, 5.0, "Length, minutes: 100% of it."),
        cli.Argument("split", Literal["train", "test"], "train", "Which part."),
        cli.Argument("out", str | None, None, "Where to."),
    ]
    defaults = {"dry_run": False, "minutes": 5.0, "split": "train", "out": None}
    assert cli.parse([], "", (), extra).extra == defaults
    argv = ["--dry_run", "--minutes", "2", "--split=test", "--out", "x"]
    given = {"dry_run": True, "minutes": 2.0, "split": "test", "out": "x"}
    assert cli.parse(argv, "", (), extra).extra == given
    with pytest.raises(InputError, match="--split 'all': not a choice; give one of train, test"):
        cli.parse(["--split", "all"], "", (), extra)
    with pytest.raises(SystemExit):
        cli.parse(["--help"], "", (), extra)
    text = " ".join(capsys.readouterr().out.split())
    assert "--minutes MINUTES Length, minutes: 100% of it. (type: float, default: 5.0)" in text


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [
        (InputError("x 1: bad; mend it"), 2, "error: x 1: bad; mend it\n"),
        (CheckFailed("no"), 1, "error: no\n"),
        (VerdictRefused("unfit"), 3, "error: unfit\n"),
        (KeyboardInterrupt(), 130, "stopped\n"),
    ],
)
def test_run_turns_errors_into_a_line_and_an_exit_code(
    error: BaseException, code: int, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    def main(_argv: object) -> None:
        raise error

    with pytest.raises(SystemExit) as stop:
        cli.run(main)
    assert stop.value.code == code
    assert capsys.readouterr().err == text


def test_run_leaves_bugs_their_traceback() -> None:
    def main(_argv: object) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        cli.run(main)


def test_train_help_is_fast_and_documents_every_key() -> None:
    done, seconds = command("--help")
    assert done.returncode == 0
    assert seconds < 3
    text = " ".join(done.stdout.split())
    for key in ("--run", "--dataset.path", "--policy.chunk_size", "--rollouts.max_ticks", "--dry_run"):
        assert key in text
    assert "actions predicted per query, control ticks. (type: int, default: 20)" in text


def test_train_prints_the_resulting_config_from_anywhere(tmp_path: Path) -> None:
    done, seconds = command(
        "--config", "so101_pick.yaml", "--trainer.max_steps", "200", "--print_config", cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    assert seconds < 3
    printed = yaml.safe_load(done.stdout)
    assert printed["trainer"]["max_steps"] == 200
    assert list(printed) == list(Config.__dataclass_fields__)


def test_train_reports_bad_input_fast_without_a_traceback(tmp_path: Path) -> None:
    done, seconds = command("--trainer.max_stps", "3", cwd=tmp_path)
    assert done.returncode == 2
    assert seconds < 3
    assert done.stdout == ""
    assert done.stderr == "error: --trainer.max_stps 3: unknown key; did you mean trainer.max_steps?\n"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("argv", [["--help"], ["--print_config"], ["--seed", "x"]])
def test_parsing_imports_nothing_heavy(argv: list[str]) -> None:
    program = (
        "import runpy, sys\n"
        f"sys.argv = {['train.py', *argv]!r}\n"
        f"try: runpy.run_path({str(TRAIN)!r}, run_name='__main__')\n"
        f"except SystemExit: print('heavy:', sorted({HEAVY!r} & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert done.stdout.splitlines()[-1] == "heavy: []", done.stderr


def test_a_single_key_of_a_section_can_be_taken(capsys: pytest.CaptureFixture[str]) -> None:
    sections = ("seed", "demonstrations.task")
    command = cli.parse(["--demonstrations.task", "place"], "x", sections)
    assert command.config.demonstrations.task == "place"
    with pytest.raises(InputError, match=r"--demonstrations\.episodes: not used by this command"):
        cli.parse(["--demonstrations.episodes", "3"], "x", sections)
    with pytest.raises(SystemExit):
        cli.parse(["--print_config"], "x", sections)
    assert capsys.readouterr().out == "seed: 0\ndemonstrations:\n  task: pick\n"
