"""Whether a value has the type that a field of the configuration states."""

import types
from dataclasses import fields
from typing import Any, Literal, Union, cast, get_args, get_origin


def mistyped(record: Any) -> str | None:
    """The first field of a section of the configuration, made of JSON values, that has another type.

    As `<name> <value>`; None where there is none.
    """
    for item in fields(record):
        value = getattr(record, item.name)
        if not is_of(value, item.type):
            return f"{item.name} {value!r:.60}"
    return None


def is_of(value: Any, hint: Any) -> bool:
    """Whether a JSON value is of a type as the configuration's fields have it; a whole number is a float."""
    origin, inner = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return any(is_of(value, one) for one in inner)
    if origin is Literal:
        return any(type(value) is type(one) and value == one for one in inner)
    if origin in (list, tuple):
        if not isinstance(value, list | tuple):
            return False
        values = list(cast(list[Any], value))
        kinds: list[Any] = list(inner[:1]) * len(values) if origin is list else list(inner)
        return len(kinds) == len(values) and all(map(is_of, values, kinds))
    if origin is dict:
        return isinstance(value, dict) and all(isinstance(key, str) for key in cast(dict[Any, Any], value))
    if hint is Any:
        return True
    if hint is None or hint is type(None):
        return value is None
    if hint is float:
        return type(value) in (int, float)
    return type(value) is hint
