"""The command line of every command: a YAML, overrides on top, all problems at once.

    command = cli.parse(argv, __doc__, sections=("dataset", "demonstrations"), extra=[cli.DRY_RUN])
    command.config.dataset.path, command.extra["dry_run"]

Nothing here imports torch: `--help` and configuration errors answer at once.
"""

import argparse
import re
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal, NoReturn, get_args, get_origin

from rabc.config import lerobot_keys, listed, yaml_file
from rabc.config.arguments import (
    SECTIONS,
    Argument,
    build_parser,
    config_arguments,
    expected,
    is_flag,
    is_repeated,
    nearest,
)
from rabc.config.checks import validate
from rabc.config.places import settled
from rabc.config.settings import Config
from rabc.config.simulated import with_defaults_of_dataset
from rabc.system.disk import denied, disk_error, instead
from rabc.system.errors import InputError, RabcError, Stopped
from rabc.system.hub import local_path


@dataclass(frozen=True)
class Command:
    """What the command line asks for: the configuration, and the script's own arguments by name."""

    config: Config
    extra: dict[str, Any]


DRY_RUN = Argument(
    "dry_run", bool, False, "Say what is done, what is left to do and what that costs; do nothing."
)

_LONGEST = 400
"""Characters of a value in a message; a name that the file system takes has fewer."""
_CONFIG = Argument("config", str, None, "YAML file: a path, or a name in ./configs or of one that ships.")
_PRINT = Argument("print_config", bool, False, "Print the resulting configuration as YAML and exit.")
GONE = {"dataset.cache_folder": "set the environment variable RABC_CACHE to the folder"}
"""Keys of earlier versions -> what took their place."""


def parse(
    argv: Sequence[str],
    description: str | None,
    sections: Sequence[str] | None = None,
    extra: Sequence[Argument] = (),
) -> Command:
    """Defaults, then the YAML of `--config`, then `--key value` overrides, checked in one pass.

    `sections` names the fields of `Config`, or with a dot single keys, that the script reads; only these are
    in its `--help` and can be overridden (None: all). A YAML may state all of them, so that one file serves
    every script.
    `--help` and `--print_config` print and exit. Raises InputError with every problem found.
    """
    every = [item.name for item in fields(Config)]
    shown = every if sections is None else list(sections)
    groups = {"": [_CONFIG, _PRINT, *extra], **config_arguments(shown)}
    options = {item.name: item for group in groups.values() for item in group}
    keys = {item.name: item for group in config_arguments(every).values() for item in group}
    if "--help" in argv or "-h" in argv:
        build_parser(description or "", groups).print_help()
        raise SystemExit(0)
    reader = _Reader(keys, options)
    given, stray = _split(argv, {name for name, item in options.items() if is_flag(item)})
    reader.problems += [f"{word}: belongs to no option; write --key value" for word in stray]
    reader.read_yaml([text for name, text in given if name == "config"])
    for name, text in given:
        if name != "config":
            reader.read_option(name, text)
    config = reader.config()
    if reader.problems:
        raise _Problems(_message(reader.problems))
    if reader.extra.pop("print_config", False):
        sys.stdout.write(yaml_file.dump(config, shown))
        raise SystemExit(0)
    for note in reader.notes if "rollouts" in shown else ():
        print(note, file=sys.stderr)
    return Command(config, {item.name: reader.extra.get(item.name, item.default) for item in extra})


class _Problems(InputError):
    """Several problems of a configuration, a line each; every other error is one line."""


class _Reader:
    """Collects values by key, and the problems met on the way."""

    def __init__(self, keys: dict[str, Argument], options: dict[str, Argument]) -> None:
        self._keys = keys
        self._options = options
        self._whole = frozenset(name for name, item in keys.items() if get_origin(item.type) is dict)
        self._suspect: set[str] = set()
        self._words: dict[str, list[str]] = {}
        self.values: dict[str, Any] = {}
        self.extra: dict[str, Any] = {}
        self.problems: list[str] = []
        self.notes: list[str] = []

    def read_yaml(self, names: list[str | None]) -> None:
        """Reads the one `--config`, when there is one. A file that cannot be read ends the pass."""
        if len(names) > 1:
            self.problems.append(f"--config {' '.join(str(name) for name in names)}: given twice; give one")
        elif names and not names[0]:
            self.problems.append("--config: no value; give the name of a YAML file")
        elif names and names[0]:
            path = yaml_file.find(names[0])
            for key, value in yaml_file.flatten(yaml_file.read(path), self._whole):
                self._read_setting(f"{path.name}: {key}", key, value)

    def _read_setting(self, label: str, key: str, value: Any) -> None:
        if key in SECTIONS:
            if value not in (None, {}):
                self.problems.append(f"{label} {_shown(value)}: a section, not a value; give keys beneath it")
        elif key not in self._keys:
            self._unknown(label, key, value, self._keys)
        elif key in self._whole:
            # Left as YAML typed it: jsonargparse would turn the text "3" into a number.
            if isinstance(value, dict) and all(isinstance(name, str) for name in value):  # pyright: ignore[reportUnknownVariableType]
                self.values[key] = value
            else:
                self._wrong_type(label, self._keys[key], value)
        elif listed.is_listed(self._keys[key].type):
            try:
                self.values[key] = listed.from_yaml(value, self._keys[key].type)
            except ValueError:
                self._wrong_type(label, self._keys[key], value)
        else:
            *parents, leaf = key.split(".")
            self._store(
                label, self._keys[key], value, {parents[0]: {leaf: value}} if parents else {leaf: value}
            )

    def read_option(self, name: str, text: str | None) -> None:
        """Reads `--name text`; `text` is None where nothing followed."""
        parent = next((key for key in self._whole if name.startswith(f"{key}.")), None)
        item = self._options.get(parent or name)
        label = f"--{name}"
        if item is None:
            if name in SECTIONS:
                self.problems.append(f"{label}: a section; set its keys, e.g. --{self._example(name)}")
            elif (parent or name) in self._keys:
                self.problems.append(f"{label}: not used by this command; leave it out")
            else:
                self._unknown(label, name, text, self._options)
        elif is_flag(item):
            if text is None:
                self.extra[name] = True
            else:
                self.problems.append(f"{label}={text}: a flag; give it without a value")
        elif text is None:
            self.problems.append(f"{label}: no value; give {expected(item.type)}")
        elif is_repeated(item):
            self.extra.setdefault(name, []).append(text)
        elif listed.is_listed(item.type):
            words = self._words.setdefault(name, [])
            words.append(text)
            self.values[name] = listed.from_words(words, item.type)
        elif parent is None:
            self._store(label, item, text, [f"--{name}={text}"])
        else:
            before = self.values.get(parent, {})
            self._store(label, item, text, [f"--{name}={text}"])
            self.values[parent] = {**before, **self.values.get(parent, {})}

    def _store(self, label: str, item: Argument, value: Any, source: list[str] | dict[str, Any]) -> None:
        """Stores `value` as jsonargparse types it, from a word of the command line or from a mapping."""
        if isinstance(value, str) and ":" in value and _is_number(item.type):
            return self._wrong_type(label, item, value)  # ninety to jsonargparse's YAML, where it is 1:30
        try:
            parser = build_parser("", {"": [item]})  # of all keys it would take thirty times as long
            parse_one = parser.parse_args if isinstance(source, list) else parser.parse_object
            typed = parse_one(source)[item.name]  # pyright: ignore[reportArgumentType]
        except argparse.ArgumentError:
            return self._wrong_type(label, item, value)
        if typed is None and type(None) not in get_args(item.type):  # which jsonargparse lets pass
            return self._wrong_type(label, item, value)
        if item.is_path and typed is not None:
            try:
                typed = local_path(label, typed)
            except InputError as error:
                self.problems.append(str(error))
        (self.values if item.name in self._keys else self.extra)[item.name] = typed

    def _wrong_type(self, label: str, item: Argument, value: Any) -> None:
        self._suspect.add(item.name)
        is_choice = get_origin(item.type) is Literal
        example = "" if item.default is None or is_choice else f", e.g. {item.default}"
        wrong = "not a choice" if is_choice else "wrong type"
        self.problems.append(f"{label} {_shown(value)}: {wrong}; give {expected(item.type)}{example}")

    def _unknown(self, label: str, key: str, value: Any, known: Iterable[str]) -> None:
        shown = "" if value is None else f" {value if isinstance(value, str) else _shown(value)}"
        theirs = lerobot_keys.here(key)
        if theirs is not None:
            self.problems.append(f"{label}{shown}: is lerobot-train's; {theirs}")
            return
        if key in GONE:
            self.problems.append(f"{label}{shown}: no key any more; {GONE[key]}")
            return
        near = nearest(key, known)
        self._suspect.update(near)
        remedy = f"did you mean {near[0]}?" if near else "--help lists the keys"
        self.problems.append(f"{label}{shown}: unknown key; {remedy}")

    def _example(self, section: str) -> str:
        return next(
            f"{key} {item.default}" for key, item in self._keys.items() if key.startswith(f"{section}.")
        )

    def config(self) -> Config:
        """The configuration from the sound values; adds the problems between them.

        A key that was misspelt or mistyped still has its default here, so nothing is said about it again.
        """
        top = {name: value for name, value in self.values.items() if "." not in name}
        for section, kind in SECTIONS.items():
            top[section] = kind(
                **{
                    name.partition(".")[2]: value
                    for name, value in self.values.items()
                    if name.startswith(f"{section}.")
                }
            )
        config, misplaced = settled(Config(**top))
        config, self.notes = with_defaults_of_dataset(config, self.values.keys())
        suspect = "|".join(re.escape(key) for key in sorted(self._suspect))
        about_suspect = re.compile(rf"(?<![\w.])({suspect})(?![\w.])" if suspect else r"(?!)")
        found = [*misplaced, *validate(config)]
        self.problems += [problem for problem in found if not about_suspect.search(problem)]
        return config


def _split(argv: Sequence[str], flags: set[str]) -> tuple[list[tuple[str, str | None]], list[str]]:
    """`--name value`, `--name=value` and flags in their order, and the words that are none of these."""
    given: list[tuple[str, str | None]] = []
    stray: list[str] = []
    for word in argv:
        if word.startswith("--"):
            name, equals, value = word[2:].partition("=")
            given.append((name, value if equals else None))
        elif given and given[-1][1] is None and given[-1][0] not in flags:
            given[-1] = (given[-1][0], word)
        else:
            stray.append(word)
    return given, stray


def _message(problems: list[str]) -> str:
    texts = [_one_line(text) for text in problems]
    if len(texts) == 1:
        return texts[0]
    return "\n".join([f"{len(texts)} problems in the configuration", *(f"  - {text}" for text in texts)])


def _one_line(text: str) -> str:
    """`text` without what would end its line or steer the terminal: names and values come from others."""
    return "".join(one if one.isprintable() else ascii(one)[1:-1] for one in text)


def _is_number(kind: Any) -> bool:
    kinds = {kind, *get_args(kind)}
    return bool(kinds & {int, float}) and str not in kinds


def _shown(value: Any) -> str:
    """A value as messages show it: not more of it than one can read."""
    text = "null" if value is None else repr(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."


def run(main: Callable[[Sequence[str]], None], argv: Sequence[str] | None = None) -> NoReturn:
    """Runs a command's `main` on `argv` (None: the command line's) and exits.

    An error a user can cause is `error: <message>` on stderr and its exit code; any other keeps its
    traceback. A name too long, a full, broken or forbidden disk and a share that is gone are the user's
    wherever they are met. Ctrl-C exits with 130, as a shell expects.
    """
    try:
        main(sys.argv[1:] if argv is None else argv)
    except Stopped as stopped:
        print(f"stopped: {stopped}", file=sys.stderr)
        sys.exit(stopped.exit_code)
    except RabcError as raised:
        error = instead(raised) or raised
        one_line = isinstance(error, InputError) and not isinstance(error, _Problems)
        print(f"error: {_one_line(str(error)) if one_line else error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except OSError as error:
        told = disk_error(error) or denied(error)
        if told is None:
            raise
        print(f"error: {_one_line(str(told))}", file=sys.stderr)
        sys.exit(told.exit_code)
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        sys.exit(130)
    sys.exit(0)
