"""The report on recorded rollouts, opened in a real browser: with all, some and no labels."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rabc.comparison.recorded import page as recorded_page
from rabc.comparison.recorded import text as recorded_text
from rabc.comparison.recorded.figures import Rollouts, compare_rollouts
from rabc.comparison.recorded.page import write_recorded_page
from tests.support.browser import Browser, visible


def recorded(labelled: int) -> dict[str, Any]:
    """Content of `recorded.json` of two datasets of 30 rollouts; `labelled` of the second have a label."""
    rng = np.random.default_rng(0)
    datasets: list[Rollouts] = []
    for name, chance in (("bc", 0.4), ("weighted", 0.7)):
        success = rng.random(30) < chance
        scores = -2 + success + 0.4 * rng.normal(size=30)
        known = 30 if name == "bc" else labelled
        labels = tuple(bool(one) if place < known else None for place, one in enumerate(success))
        datasets.append(Rollouts(name, rng.uniform(5, 20, 30), scores, scores + 1.5, labels))
    found = compare_rollouts(datasets)
    facts = {"root": "data/on_arm", "content": "0123456789abcdef", "frames": 9000, "fps": 30}
    sources = ["column success", "" if labelled == 0 else "file labels.csv"]
    found["datasets"] = [
        {**facts, "labels": source, **one} for source, one in zip(sources, found["datasets"], strict=True)
    ]
    result: dict[str, Any] = {
        "format": 1,
        "command": "python scripts/compare.py --recorded bc=data/bc --recorded weighted=data/weighted",
        "baseline": "bc",
        "instruction": "Pick up the red cube.",
        "scorer": {"name": "a", "revision": "b", "model": "c", "camera": "front", "num_prefixes": 15},
        **found,
    }
    result["notes"] = recorded_text.notes(result, {"weighted": Path("labels/weighted.csv")})
    return json.loads(json.dumps({**result, "answer": recorded_text.answer(result)}))


@pytest.mark.parametrize("labelled", [30, 12, 0])
@pytest.mark.parametrize("width", [390, 1280])
def test_page_of_recorded_rollouts_in_a_browser(
    chromium: Browser, tmp_path: Path, labelled: int, width: int
) -> None:
    page = write_recorded_page(recorded(labelled), tmp_path / "recorded")
    seen = chromium.open(page, width)
    assert (seen.complaints, seen.requests) == ([], [])
    assert seen.facts["scroll_width"] == seen.facts["width"]
    assert seen.facts["beyond"] == []


def test_page_of_recorded_rollouts_says_what_is_known(tmp_path: Path) -> None:
    every, some, none = (visible(recorded_page.render(recorded(count))) for count in (30, 12, 0))
    for text, labelled in ((every, 30), (some, 12), (none, 0)):
        result = recorded(labelled)
        assert result["answer"] in text
        assert all(note in text for note in result["notes"])
        assert result["pairs"][0]["method"] in text
        assert f"{labelled} of 30 labelled" in text
    assert "not known" not in every
    assert "12 labelled" in some or "/12 labelled, of 30" in some
    assert "not known" in none
    assert "nats of the success score" in none
