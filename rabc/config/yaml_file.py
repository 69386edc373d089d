"""Finds and reads the YAML of a configuration, and writes one back."""

import os
import re
from collections.abc import Collection, Hashable, Iterator, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, cast

import yaml

from rabc.config.settings import Config
from rabc.system.errors import InputError
from rabc.system.hub import local_path
from rabc.system.shipped import CONFIGS

_KINDS = {"int": "whole number", "float": "number", "timestamp": "date", "binary": "base64 text"}
_SHOWN = 40
"""Characters of a value that a message shows."""
_MOST = 10_000
"""Values of a configuration, each as often as an alias repeats it; the shipped ones have some hundred."""


class _Loader(yaml.SafeLoader):
    """YAML as people write it: `3e-4` is a number, `0:50` a text, and a key given twice is an error.

    PyYAML follows YAML 1.1, where a float needs a dot and `0:50` is fifty seconds, and keeps the last of two
    equal keys without a word.
    """

    yaml_implicit_resolvers = {  # noqa: RUF012  (PyYAML's own, which it copies before it adds to it)
        first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:int"]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[str] = set()
        scalars = [key_node for key_node, _ in node.value if isinstance(key_node, yaml.ScalarNode)]
        for key_node in scalars:
            key = key_node.value
            if key in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key} is given twice", key_node.start_mark
                )
            seen.add(key)
        return super().construct_mapping(node, deep)

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        """As PyYAML's, which stumbles over a month 13 and over numbers without digits, or with too many."""
        try:
            return super().construct_object(node, deep)
        except (ValueError, OverflowError) as error:
            kind, shown = node.tag.rpartition(":")[2], str(node.value)[:_SHOWN]
            raise yaml.constructor.ConstructorError(
                None, None, f"{shown} is no {_KINDS.get(kind, kind)}", node.start_mark
            ) from error


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:int",
    re.compile(r"[-+]?(0b[01_]+|0x[0-9a-fA-F_]+|[0-9][0-9_]*)$"),
    list("-+0123456789"),
)
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?\d+(\.\d*)?[eE][-+]?\d+$"), list("-+0123456789")
)


def find(name: str) -> Path:
    """The file that `--config NAME` means: a path, a file in `./configs`, a shipped one; else InputError."""
    name = local_path("--config", name)
    for path in (Path(name), Path("configs") / name, CONFIGS / name):
        if path.is_file():
            return path
        if os.path.lexists(path):
            raise InputError(
                f"--config {path}: is no file that can be read (a folder, a pipe, a link to nothing); give a "
                "YAML file"
            )
    shipped = ", ".join(sorted(path.name for path in CONFIGS.glob("*.yaml"))) or "none"
    raise InputError(f"--config {name}: no such file here or in configs/; shipped ones: {shipped}")


def read(path: Path) -> dict[str, Any]:
    """The mapping in the YAML at `path`; empty for an empty file. InputError if it is not one."""
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), _Loader)
        if _size(content) > _MOST:
            raise InputError(f"{path}: holds more than {_MOST} values, aliases counted; write fewer")
    except yaml.MarkedYAMLError as error:
        line = "" if error.problem_mark is None else f" line {error.problem_mark.line + 1}"
        raise InputError(f"{path}{line}: not valid YAML ({error.problem}); mend that line") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not YAML text; give a file like those in configs/") from error
    except RecursionError as error:
        raise InputError(f"{path}: is nested too deeply; give a file like those in configs/") from error
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); check its permissions") from error
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise InputError(f"{path}: not a mapping of keys to values; give `key: value` lines")
    return content  # pyright: ignore[reportUnknownVariableType]  (YAML has no types)


def _size(content: Any) -> int:
    """How many values there are, each as often as an alias repeats it.

    Of a few lines aliases can make more than a machine holds. Raises RecursionError for a value that holds
    itself.
    """
    known: dict[int, int] = {}

    def size(value: Any) -> int:
        if not isinstance(value, dict | list):
            return 1
        parts = cast("Collection[Any]", value.values() if isinstance(value, dict) else value)
        if id(value) not in known:
            known[id(value)] = 1 + sum(size(part) for part in parts)
        return known[id(value)]

    return size(content)


def flatten(mapping: dict[str, Any], whole: frozenset[str], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted keys and values of a nested mapping; a mapping under a key in `whole` is a value itself.

    An empty mapping is a value, too.
    """
    for name, value in mapping.items():
        key = f"{prefix}{name}"
        if isinstance(value, dict) and value and key not in whole:
            yield from flatten(value, whole, f"{key}.")  # pyright: ignore[reportUnknownArgumentType]
        else:
            yield key, value


def dump(config: Config, sections: Sequence[str] | None = None) -> str:
    """`config` as YAML in the order of its fields, every key stated.

    sections: as in `rabc.config.cli.parse`.
    """
    names = [item.name for item in fields(Config)] if sections is None else sections
    values, stated = asdict(config), {}
    for name in names:
        section, _, key = name.partition(".")
        if key:
            stated.setdefault(section, {})[key] = values[section][key]
        else:
            stated[name] = values[name]
    return yaml.safe_dump(stated, sort_keys=False, allow_unicode=True)
