"""What every page shares: escaped texts, numbers, pictures, and parts of documents that commands write."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from jinja2 import DictLoader, UndefinedError
from PIL import Image

from rabc.pages import html
from rabc.pages.html import jpeg, number, render_template, side_by_side
from rabc.pages.marked import markdown_table, replace_marked
from rabc.system.errors import InputError


def test_texts_are_text_whatever_is_in_them(monkeypatch: pytest.MonkeyPatch) -> None:
    import jinja2

    page: dict[str, Any] = {"page": "<p title='{{ name }}'>{{ name }}: {{ share | number(1) }} %</p>"}
    monkeypatch.setattr(jinja2, "PackageLoader", lambda _: DictLoader(page))
    shown = render_template("page", name="<script>'&\"", share=-0.01)
    assert shown == "<p title='&lt;script&gt;&#39;&amp;&#34;'>&lt;script&gt;&#39;&amp;&#34;: 0.0 %</p>"
    with pytest.raises(UndefinedError, match="'name' is undefined"):
        render_template("page", share=1.0)  # a value that is missing is a bug, not a gap in the page


def test_every_template_is_found() -> None:
    names = sorted(path.name for path in (Path(html.__file__).parent / "templates").glob("*.html"))
    pages = ["charts", "comparison", "diagnosis", "left_out", "recorded", "weights"]
    assert names == [f"{page}.html" for page in pages]
    for name in set(names) - {"charts.html"}:
        with pytest.raises(UndefinedError):
            render_template(name)
    assert render_template("charts.html").strip() == ""  # macros alone


@pytest.mark.parametrize(
    ("value", "digits", "text"), [(-0.001, 2, "0.00"), (2.345, 1, "2.3"), (-1.26, 1, "-1.3"), (12, 0, "12")]
)
def test_numbers_have_no_minus_before_zero(value: float, digits: int, text: str) -> None:
    assert number(value, digits) == text


def test_pictures_side_by_side_keep_their_shape() -> None:
    frames = np.zeros((3, 20, 40, 3), np.uint8)
    frames[1] = 255
    row = side_by_side(frames, 10)
    assert row.shape == (10, 3 * 20, 3)
    assert row[:, 25:35].min() == 255
    assert row[:, :15].max() == row[:, 45:].max() == 0
    again = np.asarray(Image.open(io.BytesIO(jpeg(row))))
    assert again.shape == row.shape
    assert np.abs(again.astype(int) - row).mean() < 5


def test_a_marked_part_is_replaced_and_nothing_else(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- pick -->\nold\n<!-- /pick -->\nafter\n")
    replace_marked(page, "pick", markdown_table(["a", "b"], [["1", "2"]]) + "\n\n", "--page")
    assert page.read_text() == (
        "before\n<!-- pick -->\n| a | b |\n| --- | --- |\n| 1 | 2 |\n<!-- /pick -->\nafter\n"
    )
    with pytest.raises(InputError, match=r"--page .*page.md: has no <!-- place --> ... <!-- /place -->"):
        replace_marked(page, "place", "new", "--page")
    with pytest.raises(InputError, match=r"--page .*none.md: cannot be read"):
        replace_marked(tmp_path / "none.md", "pick", "new", "--page")
