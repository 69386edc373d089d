"""The documents are true to the program: commands, options, links, paths, the list of rooms, figures."""

import contextlib
import importlib
import importlib.util
import re
import shutil
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from jsonargparse import ArgumentParser

import rabc.robot.async_client
import rabc.system.quiet
from rabc.commands import benchmark
from rabc.commands.entry import COMMANDS
from rabc.comparison import publish
from rabc.comparison.arms import arms_of
from rabc.config import cli
from rabc.config.arguments import SECTIONS, config_arguments
from rabc.config.settings import Config
from rabc.system.errors import InputError
from tests.docs.reading import Text, comments, documents, words_of
from tests.support import REPO

NAMES = [name for group in COMMANDS.values() for name in group]
README = next(text for text in documents() if text.name == "README.md")
ELSEWHERE = {"pip", "uv", "ssh"}
"""Programs that are no part of the environment."""
LEROBOT = {
    "dataset.episode_time_s", "dataset.fps", "dataset.repo_id", "dataset.reset_time_s",
    "env.image_size", "env.episode_length", "env.outcomes", "env.task", "eval.batch_size", "eval.n_episodes",
    "fps", "duration", "rename_map", "return_to_initial_position", "sample_weighting.type",
    "sample_weighting.progress_path",
}  # fmt: skip
"""Options of LeRobot's programs that the documents name; besides those of `robot`."""

IN_A_WHEEL = "rabc/shipped"
TYPED: dict[str, Any] = {}
"""A setting of a YAML -> what jsonargparse makes of it."""
UNDERSTOOD: set[tuple[str, ...]] = set()
"""Command lines that stand in several documents are read once."""


class _Parsed(Exception):
    """The command has read its arguments; what comes after is work."""


@pytest.fixture
def read_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every command stops once its own parser has accepted the command line."""
    parse = cli.parse

    def parsed(*args: Any, **kwargs: Any) -> None:
        raise _Parsed(parse(*args, **kwargs))

    def stop(*_: Any) -> None:
        raise _Parsed

    def remembered(parser: ArgumentParser, setting: Any, **_: Any) -> Any:
        """A key of a YAML is typed once: the same few files serve nearly every command line."""
        if repr(setting) not in TYPED:
            TYPED[repr(setting)] = parse_object(parser, setting)
        return TYPED[repr(setting)]

    parse_object = ArgumentParser.parse_object
    monkeypatch.chdir(REPO)
    monkeypatch.setattr(cli, "parse", parsed)
    monkeypatch.setattr(ArgumentParser, "parse_object", remembered)
    monkeypatch.setattr(rabc.system.quiet, "quiet_libraries", stop)  # check-policy has a parser of its own
    monkeypatch.setattr(rabc.robot.async_client, "check", stop)  # async-client has LeRobot's


def read(name: str, argv: Sequence[str]) -> None:
    """Lets the command `name` read its arguments, and looks up the names in them."""
    if (name, *argv) in UNDERSTOOD:
        return
    main = importlib.import_module(f"rabc.commands.{name.replace('-', '_')}").main
    try:
        main(argv)
    except SystemExit as ended:  # --help, --print_config
        if ended.code:
            raise AssertionError(f"{name} ends with {ended.code}") from ended
    except _Parsed as parsed:
        command = parsed.args[0] if parsed.args else None
        if name == "compare":
            arms_of(command.config, command.extra["arms"])
        elif name == "benchmark" and argv[0] in benchmark.PARTS:
            assert set(command.extra["parts"].split(",")) <= set(benchmark.PARTS[argv[0]])
        elif name == "results" and command.extra["experiments"]:
            known = {item.name for item in publish.EXPERIMENTS} | {publish.RECIPES, *publish.RECIPES_OF}
            assert set(command.extra["experiments"].split(",")) <= known
    else:
        raise AssertionError(f"{name} went to work without parsing")
    UNDERSTOOD.add((name, *argv))


def check_program(words: list[str], mention: bool) -> None:
    """A program of a command line: ours reads its arguments, any other has to exist.

    mention: it stands in running text, where `rabc <command>` names the command.
    """
    if mention and words == ["uv", "run"]:
        return
    if words[:2] == ["uv", "run"]:
        words = words[2:]
    elif words[0] == "uvx":
        words = words[3:]
    elif words[0] == "torchrun":
        words = words[next(place for place, word in enumerate(words) if word.startswith("scripts/")) :]
    if words[0] == "python":
        words = words[1:]
    if words[0] == "-m":
        assert importlib.util.find_spec(words[1]), f"no module {words[1]}"
    elif words[0].startswith("scripts/"):
        assert (REPO / words[0]).is_file(), f"no {words[0]}"
        read(Path(words[0]).stem.replace("_", "-"), words[1:])
    elif words[0] == "rabc":
        if words[1] not in ("--help", "--version", "--shipped", "placeholder"):
            assert words[1] in NAMES, f"no command {words[1]}"
            if not mention or words[2:]:
                read(words[1], words[2:])
    elif words[0] not in ELSEWHERE:
        assert shutil.which(words[0], path=str(Path(sys.executable).parent)), f"no program {words[0]}"
    if words[0] == "pytest" and "-k" in words:
        wanted = words[words.index("-k") + 1]
        tests = (path.read_text() for path in (REPO / "tests").rglob("test_*.py"))
        assert any(re.search(rf"def test_\w*{wanted}", test) for test in tests), f"no test {wanted}"


def problems(text: Text) -> list[str]:
    """What is wrong with the commands of a text."""
    found: list[str] = []
    for command, in_prose in dict.fromkeys(text.commands()):
        try:
            for words in words_of(command):
                check_program(words, in_prose)
        except (InputError, AssertionError) as error:
            last = command.split()[-1]
            if not (in_prose and str(error).startswith(f"{last}: no value")):
                found.append(f"{text.name}: {command}\n    {error}")
    return found


@pytest.mark.usefixtures("read_only")
def test_every_command_in_the_documents_is_understood() -> None:
    assert sum(len(list(text.commands())) for text in documents()) > 50
    assert [line for text in documents() for line in problems(text)] == []


@pytest.mark.usefixtures("read_only")
def test_every_command_in_comments_is_understood() -> None:
    assert [line for text in comments() for line in problems(text)] == []


@pytest.mark.usefixtures("read_only")
@pytest.mark.parametrize(
    "command",
    [
        "uv run rabc train --config so101_pick.yaml --weights.sceme none",
        "uv run rabc train --config no_such.yaml",
        "uv run rabc compair --config so101_pick.yaml",
        "uv run rabc compare --arms plain,no-such-arm",
        "uv run rabc results --experiments no_such",
        "uv run rabc benchmark scoring --parts no_such",
        "uv run rabc check-policy <folder> --no_such 1",
        "uv run rabc async-client --no_such=1",
        "uv run python scripts/no_such.py",
        "torchrun --nnodes 2 ... scripts/train.py --no_such 1",
        "pip install uv && uv run no-such-program",
        "uv run lerobot-no-such --policy.path=x",
        "uv run pytest -k no_such_test_anywhere",
    ],
)
def test_a_command_that_does_not_exist_is_noticed(command: str) -> None:
    assert problems(Text(REPO / "README.md", f"Do\n\n    {command}\n"))
    assert problems(Text(REPO / "README.md", f"Do `{command}`."))


def known_options(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Every option of every command of ours, without dashes."""
    known = {item.name for group in config_arguments(Config.__dataclass_fields__).values() for item in group}
    known |= {"config", "print_config", "help", "version", "key"}  # --key stands for any

    def collected(*_: Any, extra: Sequence[cli.Argument] = (), **__: Any) -> None:
        known.update(item.name for item in extra)
        raise _Parsed

    monkeypatch.setattr(cli, "parse", collected)
    for name in set(NAMES) - {"check-policy", "async-client"}:
        for argv in [[part] for part in benchmark.PARTS] if name == "benchmark" else [[]]:
            with contextlib.suppress(_Parsed):
                importlib.import_module(f"rabc.commands.{name.replace('-', '_')}").main(argv)
    return known


def test_every_option_and_key_in_running_text_exists(monkeypatch: pytest.MonkeyPatch) -> None:
    """`--name value` and `section.key`, of this program or LeRobot's."""
    known = known_options(monkeypatch) | LEROBOT
    whole = ("robot.", "policy.extra.", "dataset.image_transforms.", "comparison.arms.")
    missing: list[str] = []
    for text in documents():
        for span in text.spans:
            names = re.findall(r"(?:^|(?<=\s))--([\w.]+)", span) if span.startswith("--") else []
            names += re.findall(rf"^((?:{'|'.join(SECTIONS)})\.(?!json)\w+)", span)
            missing += [
                f"{text.name}: {name}" for name in names if name not in known and not name.startswith(whole)
            ]
    assert missing == []


def test_every_link_leads_somewhere() -> None:
    anchors = {text.path: text.anchors for text in documents()}
    dead: list[str] = []
    for text in documents():
        for link in text.links:
            file, _, anchor = link.partition("#")
            target = (text.path.parent / file).resolve() if file else text.path
            if not target.exists() or (anchor and anchor not in anchors[target]):
                dead.append(f"{text.name}: {link}")
    assert dead == []


def test_every_file_and_module_named_exists() -> None:
    missing: list[str] = []
    for text in (*documents(), *comments()):
        for path in re.findall(r"(?<![\w/.>-])(?:rabc|tests|scripts|configs|docs)/[\w./*-]*\w", text.content):
            if not any(REPO.glob(path)) and path != IN_A_WHEEL:
                missing.append(f"{text.name}: {path}")
        for name in re.findall(r"`(\w+\.yaml)`", text.content):
            if not any((REPO / "configs").rglob(name)):
                missing.append(f"{text.name}: {name}")
        for dotted in re.findall(r"`(rabc(?:\.\w+)+)`", text.content):
            if not _module_or_attribute(dotted):
                missing.append(f"{text.name}: {dotted}")
    assert missing == []


def _module_or_attribute(dotted: str) -> bool:
    module, _, attribute = dotted.rpartition(".")
    place = REPO.joinpath(*dotted.split("."))
    if place.is_dir() or place.with_suffix(".py").is_file():
        return True
    return REPO.joinpath(*module.split(".")).with_suffix(".py").is_file() and hasattr(
        importlib.import_module(module), attribute
    )


def test_the_readme_is_short() -> None:
    assert len(README.content.splitlines()) <= 150


def rooms_in_readme() -> dict[str, str]:
    """Room -> what the README says of it."""
    return dict(re.findall(r"^    (\w+)/ +(.+)$", README.content, re.MULTILINE))


def test_the_readme_lists_every_room_in_the_order_of_the_contract() -> None:
    contract = tomllib.loads((REPO / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"][0]
    layers = [{room.strip() for room in layer.split("|")} for layer in reversed(contract["layers"])]
    rooms = list(rooms_in_readme())
    assert len(rooms) <= 25
    assert set(rooms) == set.union(*layers)
    places = [next(place for place, layer in enumerate(layers) if room in layer) for room in rooms]
    assert places == sorted(places)


def test_every_file_in_the_list_of_rooms_exists() -> None:
    named = [
        (room, file) for room, about in rooms_in_readme().items() for file in re.findall(r"[\w/]+\.py", about)
    ]
    assert [f"{room}/{file}" for room, file in named if not (REPO / "rabc" / room / file).is_file()] == []


@pytest.mark.parametrize(
    ("room", "file", "is_there"),
    [
        ("scoring", "prompt.py", "QUESTION = "),
        ("weighting", "schemes.py", "def awr"),
        ("training", "data.py", "Batch = "),
        ("training", "windows.py", "class Windows"),
        ("sim", "tasks.py", "def succeeded"),
        ("comparison", "pages/texts.py", "ARM_HEADERS = "),
    ],
)
def test_a_newcomer_finds_what_to_change(room: str, file: str, is_there: str) -> None:
    """The prompt, a weight scheme, what a batch holds, when a task succeeded, a column of the comparison."""
    assert file in rooms_in_readme()[room]
    assert is_there in (REPO / "rabc" / room / file).read_text()


def test_figures_that_are_repeated_are_those_that_were_measured() -> None:
    """Rates and intervals in tables by hand, in the head of docs/results.md; the README's is written."""
    page = next(text for text in documents() if text.name == "docs/results.md")
    stale: list[str] = []
    for row in re.findall(r"^\|.+\|$", page.written, re.MULTILINE):
        figures = re.findall(r"\d+/\d+ = \d+ %|\([-+]\d+ to [-+]\d+\)", row)
        stale += [figure for figure in figures if figure not in page.measured]
    assert stale == []
