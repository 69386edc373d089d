"""Progress and weights in files: others' in, ours out, and LeRobot reads ours."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import torch
from lerobot.rewards.sarm.rabc import RABCWeights
from numpy.typing import NDArray

from rabc.config.settings import Config, WeightsConfig
from rabc.config.training_settings import PolicyConfig
from rabc.scoring.base import PrefixScores
from rabc.scoring.store import EpisodeScores, ScoreStore, Shown
from rabc.scoring.variants import Variant
from rabc.system.errors import InputError, VerdictRefused
from rabc.weighting import schemes
from rabc.weighting.assign import FrameWeights, check_verdict, frame_weights
from rabc.weighting.deltas import chunk_deltas
from rabc.weighting.progress import CALIBRATIONS, LENGTH_BIASES, calibrate, joined
from rabc.weighting.progress_file import progress_path, read_foreign, write_progress
from rabc.weighting.weights_file import DATASET, read_weights, write_weights
from tests.support.made_scores import frame_table

LENGTHS = (12, 30, 7)
EPISODE_INDEX = np.repeat(np.arange(3), LENGTHS)
CHUNK = 5


def scores(seed: int) -> dict[int, EpisodeScores]:
    rng = np.random.default_rng(seed)
    found: dict[int, EpisodeScores] = {}
    for episode, length in enumerate(LENGTHS):
        ends = np.unique(np.r_[1, rng.integers(2, length, 5), length])
        true = -4 + np.cumsum(rng.normal(0.3, 0.6, len(ends)))
        found[episode] = EpisodeScores(
            episode, length, PrefixScores(ends, true, rng.normal(-2, 1, len(ends)))
        )
    return found


def still(real: dict[int, EpisodeScores]) -> dict[int, EpisodeScores]:
    """Static scores of the same prefixes, slowly rising."""
    return {
        number: EpisodeScores(
            number,
            record.length,
            PrefixScores(
                record.scores.prefix_lengths,
                -4 + 0.05 * np.arange(len(record.scores.prefix_lengths)),
                record.scores.log_prob_false,
            ),
        )
        for number, record in real.items()
    }


def store(tmp_path: Path, variant: Variant = "real") -> ScoreStore:
    identity = {"scorer": "judge", "revision": "1", "prompt": "?"}
    asked = {episode: (Shown(length, "", ""),) for episode, length in enumerate(LENGTHS)}
    return ScoreStore.open(tmp_path, "f" * 64, identity, ["front"], 10.0, [(96, 96)], 6, variant, asked)


def table(**changes: Any) -> pd.DataFrame:
    progress = np.concatenate([np.linspace(0, 1, length) for length in LENGTHS])
    frame_index = np.concatenate([np.arange(length) for length in LENGTHS])
    columns = {
        "index": np.arange(len(progress)),
        "episode_index": EPISODE_INDEX,
        "frame_index": frame_index,
        "progress_sparse": progress,
    }
    return pd.DataFrame({**columns, **changes})


@pytest.mark.parametrize("calibration", CALIBRATIONS)
@pytest.mark.parametrize("length_bias", LENGTH_BIASES)
def test_lerobots_weights_from_our_file_are_ours(tmp_path: Path, calibration: Any, length_bias: Any) -> None:
    """The same deltas and weights, before LeRobot's normalisation within the batch and after it."""
    kappa, epsilon = 0.02, 1e-6
    real = scores(3)
    made = calibrate(real, calibration, epsilon, length_bias, still(real))
    path = progress_path(tmp_path, calibration, length_bias)
    write_progress(path, made, np.array(LENGTHS), store(tmp_path), calibration, length_bias)
    theirs = RABCWeights(path, CHUNK, kappa=kappa, epsilon=epsilon, device=torch.device("cpu"))
    progress = joined(made, EPISODE_INDEX, tmp_path)
    deltas = chunk_deltas(progress, EPISODE_INDEX, CHUNK, "clamped")
    ours = schemes.rabc(deltas, kappa, epsilon)
    everything = np.arange(len(EPISODE_INDEX))
    their_deltas = np.array([theirs._compute_delta(int(i)) for i in everything], dtype=np.float32)
    assert np.allclose(theirs._compute_weights(their_deltas), ours, atol=1e-5)
    batch, _ = theirs.compute_batch_weights({"index": torch.from_numpy(everything)})
    assert np.allclose(batch.numpy(), ours * len(ours) / ours.sum(), atol=1e-5)
    assert 0 < np.mean(ours > 0) < 1


def test_each_choice_has_a_file_of_its_own(tmp_path: Path) -> None:
    real = scores(0)
    paths = {progress_path(tmp_path, c, bias) for c in CALIBRATIONS for bias in LENGTH_BIASES}
    assert len(paths) == 6
    path = tmp_path / "progress.parquet"
    write_progress(path, calibrate(real, "dataset", 1e-6), np.array(LENGTHS), store(tmp_path), "dataset")
    facts = pq.read_schema(path).metadata
    assert facts[b"rabc.calibration"] == b"dataset"
    assert facts[b"rabc.length_bias"] == b"none"
    assert facts[b"vlm_name"] == b"judge"


def test_our_file_is_lerobots_and_gives_the_weights_that_memory_gave(tmp_path: Path) -> None:
    """The run does not read its own file; who does gets the same bits."""
    scored, static = store(tmp_path), store(tmp_path, variant="static")
    for own, found in ((scored, scores(5)), (static, still(scores(5)))):
        own.leave()
        for record in found.values():
            own.cameras[0].append(record)
    results = {
        "store": str(scored.folder), "static_store": str(static.folder), "diagnosis": {"verdict": "use"},
    }  # fmt: skip

    def made(**settings: Any) -> FrameWeights:
        weights = WeightsConfig(**{"scheme": "awr", "calibration": "dataset", **settings})
        config = Config(policy=PolicyConfig(chunk_size=CHUNK), weights=weights)
        return frame_weights(config, results, frame_table(LENGTHS), "f" * 64)

    ours = made()
    file = pq.read_table(ours.source)
    assert file.column_names == ["index", "episode_index", "frame_index", "progress_sparse"]
    assert file.schema.field("progress_sparse").type == "float"
    assert file.column("frame_index").to_pylist() == [t for length in LENGTHS for t in range(length)]
    assert file.schema.metadata[b"rabc.store_key"].decode() == scored.key
    assert file.schema.metadata[b"rabc.dataset_fingerprint"] == b"f" * 64
    theirs = made(progress_file=str(ours.source))
    assert np.array_equal(ours.progress, theirs.progress)
    assert np.array_equal(ours.values, theirs.values)
    assert len(np.unique(ours.values)) > 10
    assert not np.array_equal(ours.values, made(length_bias="subtract").values)
    assert not np.array_equal(ours.values, made(calibration="episode").values)
    assert [path.name for path in ours.source.parent.iterdir()] == [ours.source.name]


def test_scores_that_do_not_fit_the_dataset_are_named(tmp_path: Path) -> None:
    made = calibrate(scores(0), "episode", 1e-6)
    for episodes, index, words in (
        (made, np.repeat(np.arange(3), (12, 31, 7)), "1 has scores of 30 frames, in the dataset 31 frames"),
        ({n: made[n] for n in (0, 1)}, EPISODE_INDEX, "2 has no scores, in the dataset 7 frames"),
    ):
        with pytest.raises(
            InputError, match=f"scores {tmp_path}: episode {words}; score it with `rabc score`"
        ):
            joined(episodes, index, tmp_path)


def test_episodes_that_need_no_progress_have_none(tmp_path: Path) -> None:
    made = calibrate(scores(0), "episode", 1e-6)
    found = joined({n: made[n] for n in (0, 2)}, EPISODE_INDEX, tmp_path, without=[1, 2])
    assert np.isnan(found).tolist() == (EPISODE_INDEX > 0).tolist()


def test_progress_follows_the_order_of_the_dataset(tmp_path: Path) -> None:
    made = calibrate(scores(0), "episode", 1e-6)
    turned = np.repeat([2, 0, 1], [LENGTHS[n] for n in (2, 0, 1)])
    expected = np.concatenate([made[n] for n in (2, 0, 1)]).astype(np.float32)
    assert np.array_equal(joined(made, turned, tmp_path), expected)


def test_missing_and_damaged_progress_is_named(tmp_path: Path) -> None:
    path = tmp_path / "progress.parquet"
    with pytest.raises(InputError, match="is not there"):
        read_foreign(path, "sparse", EPISODE_INDEX, "x")
    for content in (b"", b"PAR1 and nothing else"):
        path.write_bytes(content)
        with pytest.raises(InputError, match="is damaged"):
            read_foreign(path, "sparse", EPISODE_INDEX, "x")


def test_progress_from_elsewhere(tmp_path: Path) -> None:
    path = tmp_path / "sarm.parquet"
    shuffled = table(progress_dense=np.zeros(sum(LENGTHS))).sample(frac=1, random_state=0)
    shuffled.to_parquet(path)
    found = read_foreign(path, "sparse", EPISODE_INDEX, "x")
    assert np.allclose(found.values, table()["progress_sparse"])
    assert (found.filled, found.filled_in) == (0, 0)
    assert np.array_equal(read_foreign(path, "dense", EPISODE_INDEX, "x").values, np.zeros(sum(LENGTHS)))


def test_our_progress_of_another_dataset_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "progress.parquet"
    write_progress(path, calibrate(scores(0), "episode", 1e-6), np.array(LENGTHS), store(tmp_path), "episode")
    read_foreign(path, "sparse", EPISODE_INDEX, "f" * 64)
    with pytest.raises(
        InputError, match=r"was made for another dataset \(f{12}, this is a{12}\), or this one"
    ):
        read_foreign(path, "sparse", EPISODE_INDEX, "a" * 64)


def test_a_failed_episode_is_measured_by_its_own_task_even_where_that_has_few() -> None:
    """Bounds are of the task; what one wording makes likelier does not move another's."""

    def records(shift: float, count: int) -> dict[int, EpisodeScores]:
        ends = np.array([1, 5, 9])
        curves = [np.array([-4.0, -2.0, -0.5 if n else -3.0]) for n in range(count)]
        task = "Pick." if shift else "Place."
        return {
            n: EpisodeScores(n, 9, PrefixScores(ends, c + shift, np.zeros(3)), task)
            for n, c in enumerate(curves)
        }

    alone = calibrate(records(0.0, 6), "dataset", 1e-6)
    both = calibrate(
        records(0.0, 6) | {n + 6: replace(r, episode_index=n + 6) for n, r in records(-9.0, 2).items()},
        "dataset", 1e-6,
    )  # fmt: skip
    assert all(np.array_equal(alone[n], both[n]) for n in alone)
    assert both[7][-1] > 0.9
    assert both[6][-1] < 0.5


@pytest.mark.parametrize(
    ("frame", "words"),
    [
        (table(progress_sparse=np.nan), "no episode has progress_sparse at two frames or more"),
        (table(progress_sparse=[0.5] * 48 + [np.inf]), r"is inf at frame 48 .episode 2., and at 1 in all"),
        (table(progress_sparse="high"), "column progress_sparse is not numbers"),
        (table().drop(columns="progress_sparse"), "no column progress_sparse, only index"),
        (table().drop(columns="episode_index"), "no column episode_index"),
        (table(index=0), "frame 0 more than once"),
        (table(index=np.arange(1, 50)), "frames that the dataset has not"),
        (table(episode_index=EPISODE_INDEX[::-1]), "episode_index is not the dataset's"),
        (table(frame_index=np.arange(49)), "frame_index is not the dataset's"),
    ],
)
def test_progress_that_does_not_fit_is_named(tmp_path: Path, frame: pd.DataFrame, words: str) -> None:
    path = tmp_path / "foreign.parquet"
    frame.to_parquet(path)
    with pytest.raises(InputError, match=rf"weights.progress_file {path}: .*{words}"):
        read_foreign(path, "sparse", EPISODE_INDEX, "x")


def test_weights_go_out_and_come_back(tmp_path: Path) -> None:
    path = tmp_path / "weights.parquet"
    values: NDArray[np.float64] = np.random.default_rng(0).uniform(0, 2, sum(LENGTHS))
    write_weights(path, values, {"rabc.scheme": "rabc", DATASET: "this one"})
    assert pq.read_table(path).column_names == ["index", "weight"]
    assert [str(field.type) for field in pq.read_schema(path)] == ["int64", "float"]
    assert np.allclose(read_weights(path, EPISODE_INDEX, "this one"), values, atol=1e-6)
    with pytest.raises(InputError, match=r"was made for another dataset \(this one, this is another\)"):
        read_weights(path, EPISODE_INDEX, "another")
    assert [file.name for file in tmp_path.iterdir()] == ["weights.parquet"]


@pytest.mark.parametrize(
    ("weight", "words"),
    [
        ([1.0] * 48, "1 of 49 frames have no weight, first frame 48 .episode 2.*every frame"),
        ([-1.0] + [1.0] * 48, "frame 0 has weight -1"),
        ([float("inf")] + [1.0] * 48, "weight is inf at frame 0 .episode 0., and at 1 in all"),
        ([0.0] * 49, "every weight is 0"),
    ],
)
def test_weights_that_do_not_fit_are_named(tmp_path: Path, weight: list[float], words: str) -> None:
    path = tmp_path / "w.parquet"
    pd.DataFrame({"index": np.arange(len(weight)), "weight": weight}).to_parquet(path)
    with pytest.raises(InputError, match=rf"weights.weights_file {path}: .*{words}"):
        read_weights(path, EPISODE_INDEX, "x")
    path.write_text("no parquet")
    with pytest.raises(InputError, match="is damaged or not a parquet"):
        read_weights(path, EPISODE_INDEX, "x")


def test_a_column_whose_name_is_no_text(tmp_path: Path) -> None:
    path = tmp_path / "progress.parquet"
    table().to_parquet(path)
    path.write_bytes(path.read_bytes().replace(b"progress_sparse", b"progress_spars\x8c"))
    with pytest.raises(InputError, match=r"weights.progress_file .* is damaged or not a parquet"):
        read_foreign(path, "sparse", EPISODE_INDEX, "x")


def test_what_a_foreign_file_says_is_told_in_one_line(tmp_path: Path) -> None:
    path, values = tmp_path / "weights.parquet", np.ones(sum(LENGTHS))
    write_weights(path, values, {"rabc.dataset": "some\nother"})
    with pytest.raises(InputError, match=r"made for another dataset \(some other, this is ffffffffffff\)"):
        read_weights(path, EPISODE_INDEX, "f" * 64)
    own = pq.read_table(path)
    pq.write_table(own.rename_columns(["index", "a\nb"]), path)
    with pytest.raises(InputError, match=r"has no column weight, only index, a b; "):
        read_weights(path, EPISODE_INDEX, "f" * 64)


def test_foreign_files_take_the_place_of_scores(tmp_path: Path) -> None:
    progress, weight = tmp_path / "progress.parquet", tmp_path / "weights.parquet"
    table().to_parquet(progress)
    values = np.linspace(0, 2, sum(LENGTHS))
    pd.DataFrame({"index": np.arange(len(values)), "weight": values}).to_parquet(weight)

    def made(**settings: Any) -> NDArray[np.float64]:
        config = Config(policy=PolicyConfig(chunk_size=CHUNK), weights=WeightsConfig(**settings))
        return frame_weights(config, {"replaced_by": "x"}, frame_table(LENGTHS), "x").values

    assert np.allclose(made(scheme="static", weights_file=str(weight)), values / values[values > 0].mean())
    deltas = chunk_deltas(table()["progress_sparse"].to_numpy(), EPISODE_INDEX, CHUNK, "clamped")
    expected = schemes.normalise(schemes.topreward(deltas, 2.0, 2.0))
    assert np.allclose(made(progress_file=str(progress), scheme="topreward", horizon="clamped"), expected)


def test_a_verdict_against_weighting_is_refused_unless_nothing_is_weighted() -> None:
    bad = {"verdict": "do not weight", "reasons": "noise"}
    with pytest.raises(VerdictRefused, match=r"`do not weight` .noise.; .*accept_poor_scorer true"):
        check_verdict(Config(), bad)
    plain = frame_weights(Config(weights=WeightsConfig(scheme="none")), {}, frame_table(LENGTHS), "x", [0, 2])
    assert plain.values.tolist() == np.where(EPISODE_INDEX == 1, 0.0, 1.0).tolist()
    assert plain.source is None
    check_verdict(Config(weights=WeightsConfig(accept_poor_scorer=True)), bad)
    check_verdict(Config(), {"verdict": "use with care", "reasons": "few"})
    assert VerdictRefused.exit_code == 3
