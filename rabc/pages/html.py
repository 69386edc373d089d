"""What our self-contained HTML pages share: templates, numbers, pictures."""

import io
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

JPEG_QUALITY = 70


def render_template(template: str, **values: Any) -> str:
    """The page that `template`, a file in `templates/`, makes of `values`; texts among them are escaped."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment: Any = Environment(
        loader=PackageLoader("rabc.pages"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["number"] = number
    return environment.get_template(template).render(**values)


def number(value: float, digits: int) -> str:
    """Fixed-point text, without a minus before zero."""
    # Adding 0 turns -0.00 into 0.00.
    return f"{round(value, digits) + 0.0:.{digits}f}"


def points(share: float, digits: int = 1) -> str:
    """A difference of shares in points, with its sign."""
    return f"{round(100 * share, digits) + 0.0:+.{digits}f}"


def ends(limits: Mapping[str, Any], digits: int = 1) -> str:
    """`low to high` of a difference, in points; empty where there is no interval."""
    if limits["low"] is None:
        return ""
    return f"{points(limits['low'], digits)} to {points(limits['high'], digits)}"


def side_by_side(frames: NDArray[np.uint8], height: int) -> NDArray[np.uint8]:
    """Frames (n, H, W, 3) in one row, (height, n * width, 3), each with its aspect ratio."""
    from PIL import Image

    size = (max(1, round(frames.shape[2] * height / frames.shape[1])), height)
    pictures = [np.asarray(Image.fromarray(frame).resize(size, Image.Resampling.BICUBIC)) for frame in frames]
    return np.concatenate(pictures, axis=1)


def jpeg(picture: NDArray[np.uint8]) -> bytes:
    """The picture (H, W, 3) as a JPEG file."""
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(picture).save(file, "JPEG", quality=JPEG_QUALITY, optimize=True)
    return file.getvalue()
