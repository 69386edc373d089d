"""Whatever the files of others hold, there is an answer: findings or one line, never a traceback.

Each test damages one kind of file for `RABC_FUZZ_MINUTES` (10) and prints its seeds.
"""

import contextlib
import io
import json
import shutil
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
import yaml
from hypothesis import strategies as st

from rabc.comparison.recorded.labels import read_label_file
from rabc.config.cli import parse
from rabc.config.settings import Config, DatasetConfig
from rabc.datasets.metadata import load_meta
from rabc.datasets.preflight.check import preflight
from rabc.policies.build import build_policy
from rabc.policies.door import CONFIG, POSTPROCESSOR, PREPROCESSOR, TRAIN_CONFIG, admit, foreign_parts
from rabc.policies.settings import policy_settings
from rabc.policy_check.check import check_folder
from rabc.rollouts.play import load_policy
from rabc.scoring.base import PrefixScores
from rabc.scoring.store import EpisodeScores, ScoreStore
from rabc.system.errors import InputError
from rabc.training.checkpoint_policy import checkpoint_parts, find_checkpoint, trained_config
from rabc.training.run import train
from rabc.weighting.progress_file import read_foreign
from rabc.weighting.weights_file import read_weights
from tests.policies.test_build import ACT, saved
from tests.support import REPO
from tests.support.damaged_json import JSON, damaged
from tests.support.fuzzing import MINUTES, for_minutes
from tests.support.made_scores import leave_scores
from tests.support.training_runs import FRAMES, WEIGHTS, tiny, with_resnet18

pytestmark = [pytest.mark.slow, pytest.mark.timeout(60 * MINUTES + 900)]

Place = Callable[[], Path]


@pytest.fixture(autouse=True)
def _own_places(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("XDG_CACHE_HOME", "XDG_DATA_HOME", "RABC_CACHE"):
        monkeypatch.setenv(name, str(tmp_path_factory.mktemp(name)))


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """Gives an empty folder; the one before is gone."""
    own = tmp_path / "example"

    def empty() -> Path:
        shutil.rmtree(own, ignore_errors=True)
        own.mkdir()
        return own

    return empty


@contextlib.contextmanager
def answered() -> Iterator[None]:
    """An InputError is an answer if it is one line."""
    said: list[str] = []
    try:
        yield
    except InputError as error:
        said.append(str(error))
    assert not any("\n" in line for line in said), said


def scratched(data: st.DataObject, content: bytes) -> bytes:
    """Some bytes changed, or cut off."""
    own = bytearray(content)
    for _ in range(data.draw(st.integers(1, 4))):
        own[data.draw(st.integers(0, len(own) - 1))] = data.draw(st.integers(0, 255))
    return bytes(own[: data.draw(st.integers(0, len(own)))]) if data.draw(st.booleans()) else bytes(own)


def damage(data: st.DataObject, path: Path) -> None:
    """Puts other content in the place of a JSON file, or of a link to one."""
    content = path.read_bytes()
    path.unlink()
    if data.draw(st.integers(0, 9)) == 0:
        path.write_bytes(scratched(data, content))
    else:
        path.write_text(json.dumps(data.draw(damaged(json.loads(content)))))


def linked(source: Path, target: Path) -> None:
    """The folder again, its files as links."""
    for path in source.rglob("*"):
        other = target / path.relative_to(source)
        other.mkdir() if path.is_dir() else other.symlink_to(path)


def test_policy_folders(recorded_dataset: Path, place: Place, tmp_path: Path) -> None:
    meta = load_meta(recorded_dataset)
    good = saved(build_policy(ACT, meta), recorded_dataset, tmp_path / "good")

    def check(data: st.DataObject) -> None:
        folder = shutil.copytree(good, place() / "policy")
        names = st.sampled_from([CONFIG, PREPROCESSOR, POSTPROCESSOR, TRAIN_CONFIG])
        for name in data.draw(st.lists(names, min_size=1, max_size=2, unique=True)):
            damage(data, folder / name)
        foreign = list(foreign_parts(folder))
        with answered():
            assert check_folder(str(folder))
        for use in (
            lambda: admit(folder),
            lambda: load_policy(folder),
            lambda: policy_settings(replace(ACT, pretrained_path=str(folder)), meta, "cpu"),
            lambda: build_policy(replace(ACT, pretrained_path=str(folder)), meta),
        ):
            refused = False
            with answered():
                try:
                    use()
                except InputError:
                    refused = True
                    raise
            assert refused or not foreign

    for_minutes(check)


def test_datasets(recorded_dataset: Path, place: Place) -> None:
    tables = [path.relative_to(recorded_dataset) for path in sorted(recorded_dataset.glob("*/**/*.parquet"))]

    def check(data: st.DataObject) -> None:
        root = place() / "dataset"
        root.mkdir()
        linked(recorded_dataset, root)
        what = data.draw(st.sampled_from(["meta/info.json", "meta/stats.json", *map(str, tables)]))
        if what.endswith(".json"):
            damage(data, root / what)
        else:
            frame = pd.read_parquet(root / what)
            content = (root / what).read_bytes()
            (root / what).unlink()
            if data.draw(st.integers(0, 4)) == 0:
                (root / what).write_bytes(scratched(data, content))
            else:
                write_damaged(data, frame, root / what)
        with answered():
            preflight(load_meta(root), progress=False)

    for_minutes(check)


VALUES = (
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats() | st.text(max_size=4)
    | st.lists(st.integers(-2, 9) | st.floats(), max_size=3)
)  # fmt: skip


def write_damaged(data: st.DataObject, frame: pd.DataFrame, path: Path) -> None:
    """A table whose columns hold something else, are gone, or there twice; with strange metadata."""
    names = [str(name) for name in frame.columns]
    columns: dict[str, list[Any]] = {name: list(frame[name]) for name in names}
    changed = data.draw(st.sampled_from(names))
    how = data.draw(st.sampled_from(["value", "all", "gone", "twice", "rows", "facts", "nothing"]))
    if how == "value":
        rows = st.sampled_from(range(max(len(frame), 1)))
        for row in data.draw(st.lists(rows, min_size=1, max_size=3)):
            if len(frame):
                columns[changed][row] = data.draw(VALUES)
    elif how == "all":
        value = data.draw(VALUES)
        columns[changed] = [value] * len(frame)
    elif how == "gone":
        del columns[changed]
    elif how == "rows":
        keep = data.draw(st.lists(st.sampled_from(range(max(len(frame), 1))), max_size=6))
        columns = {name: [values[row] for row in keep if len(values)] for name, values in columns.items()}
    try:
        arrays = [pa.array(values) for values in columns.values()]
    except (pa.ArrowException, OverflowError, TypeError, ValueError):  # of mixed kinds: as texts
        arrays = [pa.array([None if v is None else str(v) for v in values]) for values in columns.values()]
    labels = list(columns)
    if how == "twice":
        arrays, labels = [*arrays, arrays[names.index(changed)]], [*labels, changed]
    table = pa.Table.from_arrays(arrays, names=labels)
    if how == "facts":
        facts = st.dictionaries(
            st.sampled_from([b"rabc.dataset", b"rabc.dataset_fingerprint", b"pandas", b"huggingface"]),
            st.binary(max_size=8) | st.just(b"f" * 64),
        )
        table = table.replace_schema_metadata(data.draw(facts))
    pq.write_table(table, path)


def test_yaml(place: Place) -> None:
    shipped = sorted((REPO / "configs").glob("*.yaml"))

    def check(data: st.DataObject) -> None:
        path, text = place() / "own.yaml", data.draw(st.sampled_from(shipped)).read_text()
        if data.draw(st.booleans()):
            path.write_text(yaml.safe_dump(data.draw(damaged(yaml.safe_load(text)))))
        else:
            path.write_bytes(scratched(data, text.encode()))
        with contextlib.suppress(InputError), contextlib.redirect_stderr(io.StringIO()):
            parse(["--config", str(path)], "")

    for_minutes(check)


def test_progress_weights_and_labels(place: Place) -> None:
    episodes = np.repeat([0, 1, 2], [20, 20, 10])
    frames = np.arange(50)
    good = {"index": frames, "episode_index": episodes, "frame_index": np.r_[0:20, 0:20, 0:10]}
    tables = {
        "progress": pd.DataFrame({**good, "progress_sparse": frames / 50}),
        "weights": pd.DataFrame({"index": frames, "weight": frames / 50}),
    }
    labels = "episode_index,success\n2,1\n0,no\n1,\n"
    dataset = "f" * 64

    def check(data: st.DataObject) -> None:
        folder, kind = place(), data.draw(st.sampled_from([*tables, "labels"]))
        path = folder / kind
        if kind == "labels":
            own = st.just(None) | st.text()
            lines = [line if (other := data.draw(own)) is None else other for line in labels.split("\n")]
            text = "\n".join(lines).encode(errors="surrogatepass")
            path.write_bytes(scratched(data, labels.encode()) if data.draw(st.booleans()) else text)
        else:
            write_damaged(data, tables[kind], path)
            if data.draw(st.integers(0, 4)) == 0:
                path.write_bytes(scratched(data, path.read_bytes()))
        with answered():
            if kind == "labels":
                read_label_file(path, 3)
            elif kind == "weights":
                read_weights(path, episodes, dataset)
            else:
                read_foreign(path, "sparse", episodes, dataset)

    for_minutes(check)


def test_scores(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    scores = PrefixScores(np.array([2, 5, 9]), np.array([-3.0, -2.0, -1.0]), np.array([-0.1, -0.2, -0.4]))
    real = {n: EpisodeScores(n, 9, scores, "Pick.", "abc") for n in range(3)}

    def check(data: st.DataObject) -> None:
        results, store = leave_scores(place() / "scores", real)
        part = next(store.cameras[0].folder.glob("part-*.jsonl"))
        path = data.draw(st.sampled_from([part, store.path, store.cameras[0].folder / "meta.json"]))
        lines = path.read_text().splitlines() if path == part else [path.read_text()]
        number = data.draw(st.integers(0, len(lines) - 1))
        if data.draw(st.integers(0, 4)) == 0:
            path.write_bytes(scratched(data, path.read_bytes()))
        else:
            lines[number] = json.dumps(data.draw(damaged(json.loads(lines[number]))))
            path.write_text("".join(f"{line}\n" for line in lines))
        with answered():
            again = ScoreStore.reopen(Path(results["store"]))
            again.read()
            again.missing(again.episodes)
        with answered():
            store.read()
        with answered():
            store.cameras[0].merge()

    for_minutes(check)


def test_checkpoints(recorded_dataset: Path, place: Place, tmp_path: Path) -> None:
    """What describes it, and the pickle in it."""
    base = with_resnet18(tiny(ema_decay=0.9))
    config: Config = replace(base, run="small", dataset=DatasetConfig(str(recorded_dataset)))
    assert len(WEIGHTS) == FRAMES
    train(config, recorded_dataset, WEIGHTS, tmp_path / "training")
    meta = load_meta(recorded_dataset)
    good = torch.load(tmp_path / "training" / "checkpoints" / "step=4.ckpt", weights_only=True)
    identity = json.loads((tmp_path / "training" / "identity.json").read_text())
    plain = io.BytesIO()
    small = {**good, "state_dict": {}, "current_model_state": {}, "optimizer_states": []}
    torch.save(small, plain)

    def check(data: st.DataObject) -> None:
        folder = place() / "training"
        (folder / "checkpoints").mkdir(parents=True)
        path, beside = folder / "checkpoints" / "step=4.ckpt", folder / "identity.json"
        beside.write_text(json.dumps(identity))
        how = data.draw(st.sampled_from(["identity", "pickle", "archive", "content"]))
        if how == "identity":
            path.symlink_to(tmp_path / "training" / "checkpoints" / "step=4.ckpt")
            damage(data, beside)
        elif how == "archive":
            path.write_bytes(scratched(data, plain.getvalue()))
        elif how == "pickle":
            with zipfile.ZipFile(plain) as old, zipfile.ZipFile(path, "w") as new:
                for name in old.namelist():
                    content = old.read(name)
                    new.writestr(name, scratched(data, content) if name.endswith("data.pkl") else content)
        else:
            state = dict(small)
            for name in ("state_dict", "current_model_state"):
                if data.draw(st.booleans()):
                    own = dict(list(good[name].items())[:3])
                    own[data.draw(st.sampled_from([*own, "x"]))] = data.draw(JSON)
                    state[name] = own
                else:
                    state[name] = data.draw(JSON)
            torch.save(state if data.draw(st.integers(0, 5)) else data.draw(JSON), path)
        for given in (folder, path):
            with answered(), contextlib.redirect_stderr(io.StringIO()):
                checkpoint = find_checkpoint(given)
                checkpoint_parts(trained_config(config, checkpoint), meta, checkpoint, "auto")

    for_minutes(check)
