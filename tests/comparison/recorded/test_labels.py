"""Human labels in a CSV: what is read, what is refused, and the list to fill in."""

from pathlib import Path

import pytest

from rabc.comparison.recorded.labels import read_label_file, write_label_template
from rabc.system.errors import InputError


def written(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_labels_of_some_episodes(tmp_path: Path) -> None:
    text = "\ufeffepisode_index, success,note\n3,1,\n0, No ,slipped\n2,,\n1,TRUE,\n"
    assert read_label_file(written(tmp_path / "a.csv", text), 5) == {3: True, 0: False, 1: True}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "has no column episode_index"),
        ("episode,success\n0,1\n", "has no column episode_index"),
        ("episode_index;success\n0;1\n", "has no column episode_index"),
        ("episode_index\n0\n", "has no column success"),
        ("episode_index,success\n0,1\n4,1\n", "line 3: episode_index '4' is no episode; the dataset has"),
        ("episode_index,success\n-1,1\n", "line 2: episode_index '-1' is no episode"),
        ("episode_index,success\n,1\n", "line 2: episode_index '' is no episode"),
        ("episode_index,success\n1,1\n1,1\n", "line 3: episode 1 is there twice"),
        ("episode_index,success\n1,maybe\n", "line 2: success 'maybe' is no label"),
    ],
)  # fmt: skip
def test_what_is_no_label(tmp_path: Path, text: str, words: str) -> None:
    path = written(tmp_path / "a.csv", text)
    with pytest.raises(InputError) as refused:
        read_label_file(path, 4)
    assert words in str(refused.value)
    assert str(refused.value).startswith(f"labels {path}")


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    picture = tmp_path / "picture.csv"
    picture.write_bytes(b"\xff\xd8\xff\xe0episode_index")
    for path in (tmp_path / "none.csv", tmp_path, picture):
        with pytest.raises(InputError, match="cannot be read"):
            read_label_file(path, 4)


def test_the_list_to_fill_in_is_in_random_order_and_keeps_what_was_filled_in(tmp_path: Path) -> None:
    path = tmp_path / "labels" / "a.csv"
    write_label_template(path, 30, 0)
    lines = path.read_text().splitlines()
    order = [int(line.rstrip(",")) for line in lines[1:]]
    assert sorted(order) == list(range(30))
    assert order != sorted(order)
    assert read_label_file(path, 30) == {}
    first, *rest = path.read_text().splitlines()[1:]
    written(path, "\n".join(["episode_index,success", first + "yes", *rest]))
    filled = path.read_text()
    write_label_template(path, 30, 1)
    assert path.read_text() == filled
    assert list(read_label_file(path, 30).values()) == [True]
    noted = written(path, "episode_index,success,note\n3,,slipped after two seconds\n").read_text()
    write_label_template(path, 30, 1)
    assert path.read_text() == noted
