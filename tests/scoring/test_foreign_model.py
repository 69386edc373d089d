"""A scorer's folder that others made runs nothing: neither its own modules nor its chat template."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from rabc.scoring.topreward import TOPReward
from rabc.system.errors import InputError
from tests.support import REPO

SCORER = REPO / "checkpoints" / "so101-scorer"
TASK = "Pick up the red cube."
Plant = Callable[[Path, Path], None]


def changed(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def own_classes(folder: Path, canary: Path) -> None:
    """Every class is said to be in a module of the folder."""
    (folder / "evil.py").write_text(f"open({str(canary)!r}, 'w')\n")
    kinds = ("AutoConfig", "AutoModel", "AutoModelForImageTextToText", "AutoProcessor", "AutoVideoProcessor")
    for path in folder.glob("*.json"):
        if path.name != "tokenizer.json":
            changed(path, lambda c: c.update(auto_map=dict.fromkeys(kinds, "evil.Evil")))


def own_kind(folder: Path, canary: Path) -> None:
    own_classes(folder, canary)
    changed(folder / "config.json", lambda content: content.update(model_type="evil"))


def pickled(folder: Path, canary: Path) -> None:
    (folder / "model.safetensors").unlink()

    class Evil:
        def __reduce__(self) -> tuple[Any, ...]:
            return Path.touch, (canary,)

    torch.save({"weight": Evil()}, folder / "pytorch_model.bin")


def template(text: str) -> Plant:
    def plant(folder: Path, canary: Path) -> None:
        (folder / "chat_template.jinja").write_text(text.replace("CANARY", str(canary)))

    return plant


REFUSED: dict[str, Plant] = {
    "a kind of its own": own_kind,
    "pickled weights": pickled,
    "a template that reaches the system": template(
        "{{ cycler.__init__.__globals__.os.mkdir('CANARY') }}"
    ),
    "a template that reaches a class": template("{{ ''.__class__.__mro__[1].__subclasses__() }}"),
    "a template that is none": template("{% for x in %}"),
}  # fmt: skip


def score(folder: Path) -> NDArray[np.float64]:
    frames = torch.zeros(4, 3, 96, 96, dtype=torch.uint8)
    scorer = TOPReward.from_pretrained(str(folder), fps=5.0)
    return np.asarray(scorer.score(frames, TASK, 5.0, 2).log_prob_true)


@pytest.mark.parametrize("name", REFUSED)
def test_what_would_run_is_refused_in_a_line(name: str, tmp_path: Path) -> None:
    folder, canary = shutil.copytree(SCORER, tmp_path / "scorer"), tmp_path / "canary"
    REFUSED[name](folder, canary)
    with pytest.raises(InputError, match="scorer"):
        score(folder)
    assert not canary.exists()


def test_classes_of_its_own_are_passed_over(tmp_path: Path) -> None:
    """Where transformers knows the kind itself."""
    folder, canary = shutil.copytree(SCORER, tmp_path / "scorer"), tmp_path / "canary"
    own_classes(folder, canary)
    assert score(folder) == pytest.approx(score(SCORER))
    assert not canary.exists()
