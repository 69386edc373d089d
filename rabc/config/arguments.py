"""`Config` seen from the command line: one `Argument` for each key, and the parser made of them."""

import argparse
import difflib
import shlex
import sys
import types
from collections.abc import Iterable
from dataclasses import dataclass, fields, is_dataclass
from functools import cache
from pathlib import PurePath
from typing import Any, Literal, Union, get_args, get_origin

import docstring_parser
from jsonargparse import ArgumentParser, DefaultHelpFormatter

from rabc.config.settings import Config


@dataclass(frozen=True)
class Argument:
    """An argument that a script has besides the configuration.

    `name` is without dashes. A `bool` is a flag: false unless given. `list[str]` may be given several times.
    Any other type is a type hint as a field of the configuration has it, e.g. `int`, `str | None`,
    `Literal["a", "b"]`.
    """

    name: str
    type: Any
    default: Any
    help: str
    is_path: bool = False
    """Of this machine: `~` and the like are understood (`rabc.system.hub.local_path`)."""


SECTIONS: dict[str, type[Any]] = {
    item.name: item.type for item in fields(Config) if isinstance(item.type, type) and is_dataclass(item.type)
}


def config_arguments(names: Iterable[str]) -> dict[str, list[Argument]]:
    """The arguments for the fields `names` of `Config`, by heading: one for each key, named with dots.

    A name with a dot, such as `demonstrations.task`, stands for that key of the section alone.
    """
    groups: dict[str, list[Argument]] = {}
    for name in names:
        section, _, key = name.partition(".")
        if section in SECTIONS:
            title, arguments = _arguments(SECTIONS[section], f"{section}.")
            arguments = [item for item in arguments if not key or item.name == name]
        else:
            _, arguments = _arguments(Config, "")
            title, arguments = "The run", [item for item in arguments if item.name == name]
        groups.setdefault(title, []).extend(arguments)
    return groups


@cache
def _arguments(owner: type[Any], prefix: str) -> tuple[str, list[Argument]]:
    """The first line of the docstring of `owner`, and an argument for each field that is no section."""
    doc = docstring_parser.parse_from_object(owner)
    helps = {item.arg_name: item.description or "" for item in doc.params}
    defaults = owner()
    return (doc.short_description or "").rstrip("."), [
        Argument(prefix + item.name, item.type, getattr(defaults, item.name), helps[item.name])
        for item in fields(owner)
        if item.type not in SECTIONS.values()
    ]


class _Formatter(DefaultHelpFormatter, argparse.RawDescriptionHelpFormatter):
    """jsonargparse's, but that a description keeps its lines: some are lists of subcommands or examples."""


def build_parser(description: str, groups: dict[str, list[Argument]]) -> ArgumentParser:
    """A jsonargparse parser of `groups`, each under its heading; the heading "" is argparse's own group."""
    parser = ArgumentParser(
        prog=program(),
        description=description,
        usage="%(prog)s [--config NAME.yaml] [--key value ...]",
        formatter_class=_Formatter,
        exit_on_error=False,
        allow_abbrev=False,
    )
    for title, arguments in groups.items():
        group = parser.add_argument_group(title) if title else parser
        for item in arguments:
            about = " ".join(item.help.split())
            if is_flag(item):
                group.add_argument(f"--{item.name}", action="store_true", help=about)
            else:
                option: Any = group.add_argument(
                    f"--{item.name}", type=item.type, default=item.default, help=about
                )
                # jsonargparse adds `--key+ ITEM`, which appends to a list.
                option.option_strings = [f"--{item.name}"]
    return parser


def program() -> str:
    """What usage lines call the program: `rabc train`, or `train.py` where a script was started.

    Read from `sys.argv`, which stays as it is: Lightning starts further processes of a training with it.
    """
    started = PurePath(sys.argv[0])
    if started.stem not in ("rabc", "__main__"):
        return started.name
    return " ".join(["rabc", *(word.replace("_", "-") for word in sys.argv[1:2])])


def command_line() -> str:
    """The command as somebody else can give it: without where Python and the program lie on this machine."""
    first = program()
    words = sys.argv[2:] if first.startswith("rabc") else sys.argv[1:]
    return shlex.join(
        [*(first.split() if first.startswith("rabc") else ["python", f"scripts/{first}"]), *words]
    )


def is_flag(item: Argument) -> bool:
    """Whether `item` stands without a value. A configuration key never does: `--policy.use_vae false`."""
    return item.type is bool and item.name.partition(".")[0] not in Config.__dataclass_fields__


def is_repeated(item: Argument) -> bool:
    """Whether `item` may be given several times, a text each."""
    return item.type == list[str] and item.name.partition(".")[0] not in Config.__dataclass_fields__


def expected(hint: Any) -> str:
    """A type hint in plain words."""
    if get_origin(hint) in (Union, types.UnionType):
        return " or ".join(expected(part) for part in get_args(hint))
    if get_origin(hint) is Literal:
        return "one of " + ", ".join(str(choice) for choice in get_args(hint))
    words = {
        int: "a whole number",
        float: "a number",
        bool: "true or false",
        str: "text (in quotes if it looks like a number)",
        type(None): "null",
        dict: "a mapping of names to values",
        list[int]: "a list of whole numbers, e.g. [128, 256]",
        list[str]: "a list of texts, e.g. [one, two]",
    }
    return words.get(hint) or words.get(get_origin(hint) or hint, str(hint))


def nearest(key: str, known: Iterable[str]) -> list[str]:
    """The known key that `key` was probably meant to be, or nothing. A right name in a wrong place counts."""
    leaf = key.rpartition(".")[2]
    names = sorted(known)
    same = [name for name in names if name.rpartition(".")[2] == leaf]
    leaves = difflib.get_close_matches(leaf, [name.rpartition(".")[2] for name in names], n=1, cutoff=0.75)
    return (
        difflib.get_close_matches(key, same, n=1, cutoff=0)
        or difflib.get_close_matches(key, names, n=1, cutoff=0.75)
        or [name for name in names if name.rpartition(".")[2] in leaves][:1]
    )
