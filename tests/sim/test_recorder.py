"""Recording: a real LeRobotDataset, the same for a seed whatever the processes, continued after a kill."""

import dataclasses
import hashlib
import io
import os
import re
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import av
import numpy as np
import pyarrow.parquet as pq
import pytest

from rabc.config.settings import DemonstrationsConfig
from rabc.sim.environment import FPS, JOINTS, Simulator
from rabc.sim.recorder import (
    EPISODES_PER_SHARD,
    check_recorded_with,
    plan,
    read_ground_truth,
    record,
    recorded_with,
    settings_key,
    shards_key,
    video_encoder,
)
from rabc.sim.scene import Scene
from rabc.system.errors import InputError
from tests.support import REPO
from tests.support.simulating import simulating_here


def tables(root: Path) -> list[dict[str, list]]:
    names = ["index", "episode_index", "frame_index", "observation.state", "action"]
    return [
        pq.read_table(path, columns=names).to_pydict() for path in sorted((root / "data").rglob("*.parquet"))
    ]


def test_it_is_a_lerobot_dataset_with_a_real_arms_names_and_units(
    demonstrations: DemonstrationsConfig, simulated: Path
):
    from lerobot.datasets import LeRobotDataset

    dataset = LeRobotDataset("local/pick", root=simulated, video_backend="pyav")
    assert (dataset.num_episodes, dataset.fps, dataset.meta.robot_type) == (12, FPS, "so101_follower")
    assert dataset.features["action"]["names"] == [f"{joint}.pos" for joint in JOINTS]
    assert dataset.features["observation.state"]["names"] == dataset.features["action"]["names"]
    sample = dataset[5]
    assert sample["task"] == "Pick up the red cube."
    size = demonstrations.image_size
    for camera in ("front", "wrist"):
        assert sample[f"observation.images.{camera}"].shape == (3, size, size)
    actions = np.stack(dataset.hf_dataset["action"])
    assert 20 < np.abs(actions[:, :5]).max() <= 180  # degrees, not radians
    assert actions[:, 5].min() >= 0
    assert 20 < actions[:, 5].max() <= 100


def test_the_recorded_picture_is_the_rendered_one_but_for_compression(
    demonstrations: DemonstrationsConfig, simulated: Path
):
    from lerobot.datasets import LeRobotDataset

    first = plan(demonstrations)[0]
    with Simulator(image_size=demonstrations.image_size) as simulator:
        simulator.reset(first.seed)
        rendered = simulator.render("front").astype(float)
    sample = LeRobotDataset("local/pick", root=simulated, video_backend="pyav")[0]["observation.images.front"]
    difference = np.abs(sample.numpy().transpose(1, 2, 0) * 255 - rendered)
    assert difference.mean() < 4
    assert np.abs(difference.mean((0, 1))).max() < 6


def test_the_mix_is_the_configured_one():
    kinds = Counter(episode.kind for episode in plan(DemonstrationsConfig()))
    assert kinds == {"clean": 40, "give_up": 20, "stall": 10, "retry": 10, "drop": 10, "detour": 10}
    odd = Counter(episode.kind for episode in plan(DemonstrationsConfig(episodes=7)))
    assert sum(odd.values()) == 7
    assert odd["clean"] == 3


def test_the_sidecar_knows_what_happened(demonstrations: DemonstrationsConfig, simulated: Path):
    truths = read_ground_truth(simulated)
    assert [truth.kind for truth in truths] == [episode.kind for episode in plan(demonstrations)]
    lengths = Counter(index for table in tables(simulated) for index in table["episode_index"])
    for episode, truth in enumerate(truths):
        assert len(truth.progress) == lengths[episode]
        assert truth.success == (truth.kind != "give_up")
        assert truth.phases[0][0] == 0
    assert recorded_with(simulated) == settings_key(demonstrations)


@pytest.mark.slow
def test_one_process_records_the_same_tables_as_two(
    demonstrations: DemonstrationsConfig, simulated: Path, tmp_path: Path
):
    record(dataclasses.replace(demonstrations, processes=2), tmp_path / "again")
    assert tables(tmp_path / "again") == tables(simulated)
    assert read_ground_truth(tmp_path / "again") == read_ground_truth(simulated)


def test_the_place_task_is_recorded_with_its_instruction(tmp_path: Path):
    from lerobot.datasets import LeRobotDataset

    config = DemonstrationsConfig(
        task="place", episodes=2, clean=0.5, give_up=0.5, stall=0.0, retry=0.0, drop=0.0, detour=0.0,
        first_seed=900_000, processes=1,
    )  # fmt: skip
    with simulating_here():
        record(config, tmp_path / "place")
    dataset = LeRobotDataset("local/place", root=tmp_path / "place", video_backend="pyav")
    assert dataset[0]["task"] == Scene(task="place").instruction
    truths = {truth.kind: truth for truth in read_ground_truth(tmp_path / "place")}
    assert truths["clean"].success
    assert not truths["give_up"].success
    assert {"carry", "lower", "release", "retreat"} <= {name for _, name in truths["clean"].phases}
    assert truths["clean"].progress[-1] == 1
    with pytest.raises(InputError, match=r"was not recorded with these .* settings; set .* or remove it"):
        check_recorded_with(dataclasses.replace(config, task="pick"), tmp_path / "place")


def test_of_somebodys_own_recording_nothing_but_its_use_is_proposed(
    demonstrations: DemonstrationsConfig, recorded_dataset: Path
):
    with pytest.raises(InputError) as refused:
        check_recorded_with(demonstrations, recorded_dataset)
    assert str(refused.value).endswith(
        "was not recorded in simulation; set demonstrations.simulate false to use it, or choose another "
        "dataset.path"
    )


def test_a_folder_that_is_there_is_not_overwritten(demonstrations: DemonstrationsConfig, simulated: Path):
    with pytest.raises(InputError, match="exists already"):
        record(demonstrations, simulated)


@pytest.mark.slow
def test_the_same_pictures_give_the_same_video(simulated: Path):
    """With x264's macroblock tree 11 to 28 different videos came of 10 clips in 1000 encodings."""
    pictures = {
        path: [frame.to_image() for frame in av.open(str(path)).decode(video=0)]
        for path in sorted(simulated.rglob("*.mp4"))
    }
    rng = np.random.default_rng(0)
    clips = [(path, first) for path in pictures for first in range(0, 300, 60)]

    def encoded(clip: tuple[Path, int]) -> bytes:
        path, first = clip
        output = io.BytesIO()
        with av.open(output, "w", format="mp4") as container:
            options = video_encoder().get_codec_options(1, as_strings=True)
            stream = container.add_stream("h264", FPS, options=options)
            stream.pix_fmt = "yuv420p"
            stream.width, stream.height = pictures[path][0].size
            for picture in pictures[path][first : first + 60]:
                container.mux(stream.encode(av.VideoFrame.from_image(picture)))
            container.mux(stream.encode())
        np.full(rng.integers(1, 200_000), 255, np.uint8)  # the next one finds other memory
        return hashlib.sha256(output.getvalue()).digest()

    with ThreadPoolExecutor(2) as threads:  # LeRobot has a thread for each camera
        assert len(set(threads.map(encoded, clips * 150))) == len(clips) == 10


@pytest.mark.slow
def test_a_killed_recording_goes_on(demonstrations: DemonstrationsConfig, simulated: Path, tmp_path: Path):
    root = tmp_path / "killed"
    overrides = ["--dataset.path", str(root)]
    for name, value in dataclasses.asdict(demonstrations).items():
        overrides += [f"--demonstrations.{name}", str(value).lower()]
    command = [sys.executable, str(REPO / "scripts" / "record.py"), *overrides]
    running = subprocess.Popen(command, start_new_session=True, stderr=subprocess.PIPE)
    shards = tmp_path / "killed.partial" / shards_key(demonstrations)
    deadline = time.monotonic() + 120
    while not (shards / "shard_00000").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    running.kill()
    running.wait()
    _wait_until_the_group_is_gone(running.pid)
    sidecar = shards / "shard_00000" / "ground_truth" / "episodes.jsonl"
    sidecar.write_text(sidecar.read_text().replace('"seed": 900000', '"seed": -1'))  # lost if recorded anew
    (shards.parent / "of_other_settings").mkdir()
    assert not root.exists()
    again = subprocess.Popen(command, stderr=subprocess.PIPE)
    assert again.stderr is not None
    bar = again.stderr.read().decode()
    assert again.wait() == 0
    first_shown = re.search(r"recording: +\d+%\|[^|]*\| (\d+)/12", bar)
    assert first_shown
    assert int(first_shown.group(1)) == EPISODES_PER_SHARD  # not recorded again
    assert read_ground_truth(root)[0].seed == -1
    assert tables(root) == tables(simulated)
    assert not (tmp_path / "killed.partial").exists()


def _wait_until_the_group_is_gone(group: int) -> None:
    """The recording processes must end with the killed one, not go on writing behind its back."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return
        time.sleep(0.05)
    pytest.fail(f"processes of group {group} outlived the killed recording")
