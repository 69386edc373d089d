"""Checks of how training reads the dataset, as in `rabc.config.checks`."""

import json
from collections.abc import Iterator
from typing import Any

from rabc.config.settings import Config

_SMALLEST = 32  # a ResNet halves the picture five times
_TRANSFORMS = {"enable": bool, "max_num_transforms": int, "random_order": bool, "tfs": dict}


def data_problems(config: Config) -> Iterator[str]:
    """Every problem of the columns' names and of the sizes and changes of the pictures."""
    shape, transforms = config.policy.resize_shape, config.dataset.image_transforms
    if shape is not None and len(shape) != 2:
        yield f"policy.resize_shape {shape}: not a height and a width; give two numbers, e.g. [96, 96]"
    elif shape is not None and min(shape) < _SMALLEST:
        yield f"policy.resize_shape {shape}: too small for the backbone; give {_SMALLEST} pixels or more"
    for old, new in config.dataset.rename_map.items():
        # The view's videos lie in folders of these names.
        if not (new and new.isprintable()) or "/" in new or "\\" in new or new in (".", ".."):
            yield f"dataset.rename_map {old}: {new!r:.80} is a path and no name of a column; give a name"
    yield from _image_transforms(transforms)


def _image_transforms(transforms: dict[str, Any]) -> Iterator[str]:
    key = "dataset.image_transforms"
    for name, value in transforms.items():
        if name not in _TRANSFORMS:
            yield f"{key}.{name} {value!r}: unknown; LeRobot has {', '.join(_TRANSFORMS)}"
        elif not isinstance(value, _TRANSFORMS[name]):
            wanted = {bool: "true or false", int: "a whole number", dict: "a mapping"}[_TRANSFORMS[name]]
            yield f"{key}.{name} {value!r}: not {wanted}; write it as LeRobot's {key}"
    if transforms and "enable" not in transforms:
        yield f"{key} {transforms}: does not say whether it is on; add enable: true, or leave it out"
    most = transforms.get("max_num_transforms")
    if isinstance(most, int) and most < 1:
        yield f"{key}.max_num_transforms {most}: would change nothing; give 1 or more, or enable: false"
    try:
        json.dumps(transforms, allow_nan=False)
    except (TypeError, ValueError):
        yield f"{key} {transforms}: cannot be written as JSON; give texts, numbers, lists and mappings alone"
