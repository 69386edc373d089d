"""Keys that take one text or a list: datasets, and episodes as LeRobot's users write them.

--dataset.path a --dataset.path b      --dataset.path=[a,b]      path: [a, b]
--dataset.episodes=[0,1,2]             --dataset.episodes 0:50,60
"""

import types
from collections.abc import Sequence
from typing import Any, Union, get_args, get_origin


def is_listed(hint: Any) -> bool:
    """Whether the type `hint` is a text or a list, such as `str | list[int] | None`."""
    parts = get_args(hint) if get_origin(hint) in (Union, types.UnionType) else ()
    return str in parts and any(get_origin(part) is list for part in parts)


def from_words(words: Sequence[str], hint: Any) -> Any:
    """The value of a key that the command line gives with `words`, one for each time it stands there.

    Args:
        words: texts, each one item or several in brackets.
        hint: of the key; see `is_listed`.
    """
    if list(words) == ["null"] and type(None) in get_args(hint):
        return None
    items = [item for word in words for item in _items(word)]
    if _of(hint) is not int or (len(words) == 1 and items == [words[0]]):
        return items[0] if len(items) == 1 else items
    # A range among them, such as 0:50, makes them the text that says the same.
    return [int(item) for item in items] if all(map(_is_number, items)) else ",".join(items)


def from_yaml(value: Any, hint: Any) -> Any:
    """The value of a key that a YAML states as `value`. Raises ValueError for another type."""
    of = _of(hint)
    items = value if isinstance(value, list) else [value]
    allowed = (str, int) if of is int else (str,)
    if value is None and type(None) in get_args(hint):
        return None
    if any(not isinstance(item, allowed) or isinstance(item, bool) for item in items):
        raise ValueError("another type")
    if isinstance(value, list):
        return from_words(["[" + ",".join(map(str, items)) + "]"], hint) if of is int else value
    return from_words([str(value)], hint)


def _of(hint: Any) -> Any:
    return next(get_args(part)[0] for part in get_args(hint) if get_origin(part) is list)


def _items(word: str) -> list[str]:
    if not (word.startswith("[") and word.endswith("]")):
        return [word]
    inner = word[1:-1].strip()
    return [item.strip().strip("'\"") for item in inner.split(",")] if inner else []


def _is_number(text: str) -> bool:
    return text.removeprefix("-").isascii() and text.removeprefix("-").isdecimal()
