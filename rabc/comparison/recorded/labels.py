"""Human labels in a CSV: one line per episode, `episode_index,success`."""

import csv
from pathlib import Path

import numpy as np

from rabc.system.atomic import whole_file
from rabc.system.errors import InputError

COLUMNS = ("episode_index", "success")
WORDS = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}
"""What may stand under `success`, in any case; nothing there: not labelled."""


def read_label_file(path: Path, episodes: int) -> dict[int, bool]:
    """Label by episode of a dataset with so many `episodes`; those without a label are left out.

    Further columns are ignored. Raises InputError for a file without the columns, an unknown episode, one
    that is there twice or a word that is no label.
    """
    found: dict[int, bool] = {}
    seen: set[int] = set()
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, skipinitialspace=True)
            absent = [name for name in COLUMNS if name not in (reader.fieldnames or ())]
            if absent:
                raise InputError(
                    f"labels {path}: has no column {absent[0]}; begin with the line {','.join(COLUMNS)}"
                )
            for row in reader:
                where = f"labels {path}, line {reader.line_num}"
                episode = _episode(row["episode_index"], episodes, where)
                if episode in seen:
                    raise InputError(f"{where}: episode {episode} is there twice; keep one")
                seen.add(episode)
                word = (row["success"] or "").strip().lower()
                if word and word not in WORDS:
                    raise InputError(
                        f"{where}: success {word!r} is no label; write {', '.join(WORDS)} or nothing"
                    )
                if word:
                    found[episode] = WORDS[word]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"labels {path}: cannot be read ({error}); give a CSV file") from error
    return found


def write_label_template(path: Path, episodes: int, seed: int) -> None:
    """Writes a file to fill in, with the episodes in a random order.

    However far somebody gets from the top, what is labelled is a random sample of the episodes. A file
    that is there already is somebody's work and left as it is. Raises InputError where it cannot be read.
    """
    if path.exists():
        read_label_file(path, episodes)
        return
    order = np.random.default_rng(seed).permutation(episodes)
    with whole_file(path) as partial:
        partial.write_text("".join(f"{line}\n" for line in [",".join(COLUMNS), *(f"{e}," for e in order)]))


def _episode(text: str | None, episodes: int, where: str) -> int:
    word = (text or "").strip()
    if not word.isdecimal() or int(word) >= episodes:
        raise InputError(
            f"{where}: episode_index {word!r} is no episode; the dataset has episodes 0 to {episodes - 1}"
        )
    return int(word)
