"""The in-memory dataset against LeRobotDataset, and what damaged datasets answer."""

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from lerobot.configs import PreTrainedConfig
from lerobot.datasets.factory import resolve_delta_timestamps
from lerobot.datasets.lerobot_dataset import LeRobotDataset
from lerobot.policies.act.configuration_act import ACTConfig
from lerobot.policies.diffusion.configuration_diffusion import DiffusionConfig
from lerobot.policies.smolvla.configuration_smolvla import SmolVLAConfig

from rabc.config.training_settings import PolicyConfig
from rabc.datasets.episodes import read_episodes
from rabc.datasets.frames import cached_frames
from rabc.datasets.metadata import load_meta
from rabc.datasets.preflight.check import preflight
from rabc.datasets.tables import read_frames
from rabc.policies.build import build_policy
from rabc.system.errors import InputError
from rabc.system.lock import alone
from rabc.training.data import ChunkDataset
from rabc.training.windows import Windows
from tests.support import forked

# As recorded by tests/conftest.py.
CAMERAS = ("observation.images.front", "observation.images.wrist")
EPISODE_LENGTHS = (12, 15, 9, 14)
CHUNK = 5
VECTORS = ["observation.state", "action"]
Copy = Callable[[], Path]


def read(root: Path, cache: Path, chunk: int = CHUNK) -> ChunkDataset:
    meta = load_meta(root)
    frames = cached_frames(meta, CAMERAS, cache)
    return ChunkDataset(read_frames(meta, VECTORS), frames, Windows.chunk(chunk))


def edit_table(root: Path, change: Callable[[pd.DataFrame], None]) -> None:
    (path,) = (root / "data").glob("*/*.parquet")
    frame = pd.read_parquet(path)
    change(frame)
    frame.to_parquet(path)


POLICIES = {
    "act": ACTConfig(chunk_size=CHUNK, n_action_steps=CHUNK),
    "diffusion of one observation": DiffusionConfig(n_obs_steps=1, horizon=8, n_action_steps=4),
    "diffusion of two": DiffusionConfig(n_obs_steps=2, horizon=16, n_action_steps=8),
    "smolvla": SmolVLAConfig(chunk_size=CHUNK, n_action_steps=CHUNK),
}


@pytest.mark.parametrize("policy", POLICIES.values(), ids=POLICIES.keys())
@pytest.mark.parametrize("fixture", ["recorded_dataset", "recorded_pictures"])
def test_samples_are_lerobots(
    request: pytest.FixtureRequest, tmp_path: Path, fixture: str, policy: PreTrainedConfig
) -> None:
    """Every tensor of every sample, the windows clamped at both ends of the episodes, which are short."""
    root = request.getfixturevalue(fixture)
    meta = load_meta(root)
    frames = cached_frames(meta, CAMERAS, tmp_path)
    ours = ChunkDataset(read_frames(meta, VECTORS), frames, Windows.of(policy))
    deltas = resolve_delta_timestamps(policy, meta)
    theirs: Any = LeRobotDataset("local/tiny", root=root, delta_timestamps=deltas)
    assert len(ours) == len(theirs) == sum(EPISODE_LENGTHS)
    batch = ours.batch(np.arange(len(ours)))
    padding = [key for key in theirs[0] if key.endswith("_is_pad")]
    assert {*padding, *CAMERAS, *VECTORS} <= set(batch)
    valid = 0
    for i in range(len(theirs)):
        item = theirs[i]
        assert batch["task"][i] == item["task"]
        for name in ("index", "episode_index", "frame_index", *VECTORS, *padding):
            assert torch.equal(batch[name][i], item[name]), (i, name)
        for camera in CAMERAS:
            picture = item[camera]
            if fixture == "recorded_pictures" and picture.ndim == 4 and len(picture) == 1:
                picture = picture[0]  # LeRobot keeps this axis for pictures from tables, but not from videos
            assert torch.equal(batch[camera][i].float() / 255.0, picture), (i, camera)
        valid += int((~item["action_is_pad"]).sum())
    assert ours.valid_ticks(np.arange(len(ours))) == valid


def test_frames_are_decoded_once(recorded_dataset: Path, tmp_path: Path) -> None:
    read(recorded_dataset, tmp_path)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.glob("[!.]*")}
    assert {path.name for path in before} == {f"{camera}.32x32" for camera in CAMERAS}
    read(recorded_dataset, tmp_path)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.glob("[!.]*")} == before
    damaged = next((tmp_path / f"{CAMERAS[0]}.32x32").iterdir())
    damaged.write_bytes(b"half a file")
    read(recorded_dataset, tmp_path)
    assert damaged.stat().st_size > 1000


def build_cache(root: Path, folder: Path) -> None:
    cached_frames(load_meta(root), CAMERAS, folder)


def test_two_processes_build_one_cache(recorded_dataset: Path, tmp_path: Path) -> None:
    """The second waits, then takes what the first has made; neither removes the other's unfinished file."""
    cache = tmp_path / "cache"
    with alone(cache / ".lock", "test"):  # so that both really meet a lock
        both = [forked.start(build_cache, recorded_dataset, cache) for _ in range(2)]
        while not all("waiting for another process" in process.stdout for process in both):
            assert all(process.poll() is None for process in both), [process.stderr for process in both]
            time.sleep(0.01)
    outputs = [process.communicate() for process in both]
    assert all(process.returncode == 0 for process in both), outputs
    assert sum("decoding" in errors for _, errors in outputs) == 1
    assert not list(cache.rglob("*.partial"))


def test_cache_that_cannot_be_written(recorded_dataset: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"frame cache .*file/cache: cannot be written"):
        read(recorded_dataset, tmp_path / "file" / "cache")


def test_action_that_is_not_a_number(dataset_copy: Copy, tmp_path: Path) -> None:
    root = dataset_copy()

    def spoil(frame: pd.DataFrame) -> None:
        actions = [np.array(value) for value in frame["action"]]
        actions[EPISODE_LENGTHS[0] + 3][2] = np.nan
        frame["action"] = actions

    edit_table(root, spoil)
    with pytest.raises(InputError, match=r"action .*nan.* not finite in episode 1, frame 3"):
        read(root, tmp_path / "cache")


@pytest.mark.parametrize("kept", [0.0, 0.5, 0.9])
def test_truncated_video(dataset_copy: Copy, tmp_path: Path, kept: float) -> None:
    root = dataset_copy()
    video = next((root / "videos" / CAMERAS[1]).glob("*/*.mp4"))
    os.truncate(video, int(kept * video.stat().st_size))
    with pytest.raises(InputError, match=f"video {video}: .*cannot be decoded.*record the data") as raised:
        read(root, tmp_path / "cache")
    assert "\n" not in str(raised.value)
    # Whole episodes that could be read are kept, the broken one leaves nothing behind.
    left = [path for path in (tmp_path / "cache").rglob("*") if path.is_file() and path.name != ".lock"]
    assert left
    assert {path.stat().st_size for path in left} <= {length * 32 * 32 * 3 for length in EPISODE_LENGTHS}


def test_corrupt_table(dataset_copy: Copy, tmp_path: Path) -> None:
    root = dataset_copy()
    (path,) = (root / "data").glob("*/*.parquet")
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(InputError, match=f"table {path}: cannot be read"):
        read(root, tmp_path / "cache")


def test_corrupt_metadata(dataset_copy: Copy) -> None:
    root = dataset_copy()
    (path,) = (root / "meta/episodes").glob("*/*.parquet")
    path.write_bytes(b"not parquet")
    with pytest.raises(InputError, match="metadata cannot be read"):
        load_meta(root)


@pytest.mark.parametrize("name", ["index", "episode_index", "task_index"])
@pytest.mark.parametrize(
    "value", ["[]", None, 0.5, [1], 1e300], ids=["text", "missing", "fraction", "list", "huge"]
)
def test_a_number_that_is_none(dataset_copy: Copy, name: str, value: object) -> None:
    root = dataset_copy()
    path = next((root / "data").rglob("*.parquet"))
    table = pq.read_table(path)
    place, rows = table.column_names.index(name), table.num_rows
    if isinstance(value, float):
        values = pa.array([value, *([1.0] * (rows - 1))])
    else:
        values = pa.array([value] * rows, pa.int64() if value is None else None)
    pq.write_table(table.set_column(place, name, values), path)
    with pytest.raises(InputError, match=rf"^column {name}: not a whole number in every row of .*again"):
        read_frames(load_meta(root), VECTORS)


def refused(root: Path) -> str:
    """What the check of the dataset refuses."""
    found = preflight(load_meta(root), progress=False)
    return "; ".join(one.what for one in found if one.severity == "refused")


def _spoilt_name(path: Path, name: str) -> None:
    """The last letter of a column's name becomes half of a character."""
    content = path.read_bytes()
    spoilt = content.replace(name.encode(), name.encode()[:-1] + b"\x8c")
    assert spoilt != content
    path.write_bytes(spoilt)


@pytest.mark.parametrize("table", ["data", "meta/episodes", "meta/tasks.parquet"])
def test_a_column_whose_name_is_no_text(dataset_copy: Copy, table: str) -> None:
    root = dataset_copy()
    path = root / table if table.endswith("parquet") else next((root / table).rglob("*.parquet"))
    _spoilt_name(path, "task_index" if table != "meta/episodes" else "dataset_from_index")
    try:
        said = refused(root)
    except InputError as error:
        said = str(error)
    assert "cannot be read" in said


@pytest.mark.parametrize(
    ("name", "values", "said"),
    [
        ("tasks", [1, 2, 3], "tasks of episode 0 in meta/episodes are no texts (1)"),
        ("tasks", [[3.5], [1.0], []], "are no texts ([3.5])"),
        ("tasks", [b"Pick.", b"Pick.", b"Pick."], "are no texts (b'Pick.')"),
        ("length", [0.5, 1.5, 2.5], "length of meta/episodes holds no numbers (not whole ones)"),
    ],
)
def test_records_of_episodes_of_another_form(
    dataset_copy: Copy, name: str, values: list[Any], said: str
) -> None:
    root = dataset_copy()
    path = next((root / "meta/episodes").rglob("*.parquet"))
    table = pq.read_table(path)
    some = (values * table.num_rows)[: table.num_rows]
    pq.write_table(table.set_column(table.column_names.index(name), name, pa.array(some)), path)
    with pytest.raises(InputError) as error:
        read_episodes(load_meta(root))
    assert said in str(error.value)


@pytest.mark.parametrize("stated", [[[]], [], 3, "none", None])
@pytest.mark.parametrize("name", ["observation.images.wrist", "action", "task_index"])
def test_statistics_that_are_no_table(dataset_copy: Copy, name: str, stated: Any) -> None:
    root = dataset_copy()
    path = root / "meta/stats.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), name: stated}))
    with pytest.raises(InputError, match=r"^(file|dataset) .*(no table of statistics|cannot be read)"):
        load_meta(root)


@pytest.mark.parametrize("name", ["timestamp", "action", "episode_index"])
def test_a_column_that_is_there_twice(dataset_copy: Copy, name: str) -> None:
    root = dataset_copy()
    path = next((root / "data").rglob("*.parquet"))
    table = pq.read_table(path)
    pq.write_table(table.append_column(name, table[name]), path)
    said = refused(root)
    assert f"column {name} twice" in said or f"table {path}: cannot be read" in said


def test_a_clock_that_is_text(dataset_copy: Copy) -> None:
    root = dataset_copy()
    path = next((root / "data").rglob("*.parquet"))
    table = pq.read_table(path)
    place = table.column_names.index("timestamp")
    pq.write_table(table.set_column(place, "timestamp", pa.array(["soon"] * table.num_rows)), path)
    assert f"table {path}: cannot be read" in refused(root)


def test_whole_numbers_that_a_tool_wrote_as_fractions(dataset_copy: Copy) -> None:
    root = dataset_copy()
    path = next((root / "data").rglob("*.parquet"))
    expected = read_frames(load_meta(root), VECTORS)
    table = pq.read_table(path)
    place = table.column_names.index("frame_index")
    pq.write_table(table.set_column(place, "frame_index", table["frame_index"].cast(pa.float64())), path)
    assert np.array_equal(read_frames(load_meta(root), VECTORS).frame_index, expected.frame_index)


def test_a_vector_of_text(dataset_copy: Copy) -> None:
    root = dataset_copy()
    path = next((root / "data").rglob("*.parquet"))
    table = pq.read_table(path)
    place = table.column_names.index("action")
    text = pa.array([["1"] * 6] * table.num_rows)
    pq.write_table(table.set_column(place, "action", text), path)
    with pytest.raises(InputError, match=r"^column action: not 6 numbers in every row of .*again"):
        read_frames(load_meta(root), VECTORS)


def test_missing_frames(dataset_copy: Copy, tmp_path: Path) -> None:
    root = dataset_copy()
    (path,) = (root / "data").glob("*/*.parquet")
    pd.read_parquet(path).iloc[:-2].to_parquet(path)
    with pytest.raises(InputError, match=r"data/ has 48 frames, meta/info.json says 50"):
        read(root, tmp_path / "cache")


def test_missing_dataset(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no LeRobotDataset there"):
        load_meta(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("version", "remedy"),
    [
        ("v2.1", r"lerobot\.scripts\.convert_dataset_v21_to_v30 --repo-id=local/tiny --root=.*/tiny --push"),
        ("v2.0", "to v2.1 with an older LeRobot first"),
    ],
)
def test_older_format(dataset_copy: Copy, version: str, remedy: str) -> None:
    root = dataset_copy()
    info = json.loads((root / "meta/info.json").read_text())
    (root / "meta/info.json").write_text(json.dumps({**info, "codebase_version": version}))
    with pytest.raises(InputError, match=rf"has format {version}, not v3\.0; convert it.*{remedy}"):
        load_meta(root)


def test_camera_that_the_policy_needs_is_absent(recorded_dataset: Path) -> None:
    config = PolicyConfig(extra={"input_features": ["observation.images.top", "observation.state"]})
    with pytest.raises(InputError, match=r"camera observation.images.top: needed .*observation.images.front"):
        build_policy(config, load_meta(recorded_dataset))


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("observation.state", None, "statistic mean of observation.state: missing"),
        ("action", {"mean": [np.inf] * 6, "std": [1.0] * 6}, "statistic mean of action .*inf.*not finite"),
    ],
)
def test_unusable_statistics(dataset_copy: Copy, name: str, change: object, message: str) -> None:
    meta = load_meta(dataset_copy())
    meta.stats = {**meta.stats, name: change or {}}
    with pytest.raises(InputError, match=message):
        build_policy(PolicyConfig(), meta)


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        ({"latent_dims": 8}, "policy.extra.latent_dims 8: cannot be set; .*latent_dim"),
        ({"chunk_size": 8}, "policy.extra.chunk_size 8: .*set policy.chunk_size"),
        ({"temporal_ensemble_coeff": 0.01}, "LeRobot rejects the settings: .*temporal ensembling"),
    ],
)
def test_extra_field_that_lerobot_refuses(
    recorded_dataset: Path, extra: dict[str, int], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        build_policy(PolicyConfig(extra=extra), load_meta(recorded_dataset))
