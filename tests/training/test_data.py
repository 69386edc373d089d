"""From a dataset to the batches that training and validation get."""

import pickle
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import torch
from lerobot.configs.default import DatasetConfig as LeRobotDatasetConfig
from lerobot.configs.train import TrainPipelineConfig
from lerobot.datasets.factory import make_train_eval_datasets
from lerobot.datasets.lerobot_dataset import LeRobotDataset
from lerobot.policies.act.configuration_act import ACTConfig
from lerobot.transforms import ImageTransforms, ImageTransformsConfig

from rabc.config.settings import Config, DatasetConfig, WeightsConfig
from rabc.config.training_settings import PolicyConfig, TrainerConfig
from rabc.datasets.metadata import load_meta
from rabc.policies.settings import policy_settings
from rabc.system.errors import InputError
from rabc.training.data import ChunkDataModule
from rabc.training.drawn import TrainingFrames, training_frames
from rabc.training.module import WeightedPolicy
from rabc.training.run import training_module
from rabc.training.sources import data_module, loading_processes
from tests.support.closeness import ROOM, assert_gradients_close
from tests.support.training_runs import TERMS, tiny

FRAMES = 50
WEIGHTS = np.resize([0.0, 0.5, 1.0, 2.5], FRAMES)
CAMERA = "observation.images.front"
ACT = Config(
    dataset=DatasetConfig(eval_split=0.3),
    policy=PolicyConfig(chunk_size=5, n_action_steps=5),
    trainer=TrainerConfig(batch_size=4, eval_steps=1),
    device="cpu",
)
DIFFUSION = replace(
    ACT, policy=PolicyConfig(type="diffusion", horizon=8, n_action_steps=4, down_dims=[16, 32, 64])
)
AUGMENTED = replace(
    ACT,
    dataset=DatasetConfig(
        image_transforms={
            "enable": True,
            "tfs": {
                "noise": {"type": "GaussianNoise", "kwargs": {"std": [5.0, 25.0]}},
                "brightness": {"type": "ColorJitter", "kwargs": {"brightness": [0.5, 1.5]}},
                "affine": {"type": "RandomAffine", "kwargs": {"degrees": [-5.0, 5.0]}},
            },
        }
    ),
)


def opened(
    config: Config, root: Path, rank: int = 0, world_size: int = 1
) -> tuple[TrainingFrames, ChunkDataModule]:
    meta = load_meta(root)
    policy = policy_settings(config.policy, meta, "cpu")
    frames = training_frames(config, meta, policy, WEIGHTS)
    return frames, data_module(config, meta, policy, frames, "cpu", rank, world_size)


def batches(data: ChunkDataModule, count: int) -> list[dict[str, Any]]:
    loader = iter(data.train_dataloader())
    return [next(loader) for _ in range(count)]


def validation(data: ChunkDataModule) -> list[dict[str, Any]]:
    return list(cast(Any, data.val_dataloader()))


def joined(parts: list[dict[str, Any]], name: str) -> torch.Tensor:
    return torch.cat([part[name] for part in parts])


def test_the_held_out_episodes_are_lerobots(recorded_dataset: Path) -> None:
    for share in (0.0, 0.1, 0.5):
        theirs = TrainPipelineConfig(
            dataset=LeRobotDatasetConfig("local/tiny", root=str(recorded_dataset), eval_split=share),
            policy=ACTConfig(chunk_size=5, n_action_steps=5, push_to_hub=False),
        )
        _, held_out = make_train_eval_datasets(theirs)
        config = replace(ACT, dataset=DatasetConfig(eval_split=share))
        frames, _ = opened(config, recorded_dataset)
        episodes = np.unique(frames.table.episode_index[frames.validation]).tolist()
        assert episodes == (sorted(held_out.episodes or []) if held_out else [])
        assert not np.isin(frames.table.episode_index[frames.drawable], episodes).any()


def test_diffusion_does_not_draw_the_end_of_an_episode(recorded_dataset: Path) -> None:
    """`drop_n_last_frames`, 7 by LeRobot's default."""
    whole, _ = opened(ACT, recorded_dataset)
    frames, _ = opened(DIFFUSION, recorded_dataset)
    kept = frames.table.episode_end - np.arange(FRAMES) > 7
    assert np.array_equal(frames.drawable, whole.drawable[kept[whole.drawable]])
    assert np.array_equal(frames.validation, whole.validation[kept[whole.validation]])


@pytest.mark.parametrize("config", [ACT, DIFFUSION], ids=["act", "diffusion"])
def test_processes_and_micro_batches_share_a_step(recorded_dataset: Path, config: Config) -> None:
    """Two processes of three micro-batches of 4, against one process of one batch of 24."""
    trainer = replace(config.trainer, accumulate_grad_batches=3)
    split = replace(config, trainer=trainer)
    _, one = opened(replace(config, trainer=replace(trainer, accumulate_grad_batches=1, batch_size=24)),
                    recorded_dataset)  # fmt: skip
    ranks = [opened(split, recorded_dataset, rank, 2)[1] for rank in range(2)]
    whole = batches(one, 3)
    parts = [batches(data, 9) for data in ranks]
    for step in range(3):
        mine = [parts[rank][3 * step + micro] for micro in range(3) for rank in range(2)]
        assert [part["step"] for part in mine] == [step] * 6
        assert [part["position"] for part in mine] == [0, 4, 8, 12, 16, 20]
        for name in ("index", "action", "action_is_pad", "observation.state", CAMERA):
            assert torch.equal(joined(mine, name), whole[step][name]), name
        valid = int((~whole[step]["action_is_pad"]).sum())
        assert {part["step_valid_ticks"] for part in (*mine, whole[step])} == {valid}
        assert {part["step_samples"] for part in (*mine, whole[step])} == {24}
    assert not torch.equal(whole[0]["index"], whole[1]["index"])


def test_training_goes_on_at_the_next_step(recorded_dataset: Path) -> None:
    config = replace(ACT, trainer=replace(ACT.trainer, accumulate_grad_batches=2))
    expected = batches(opened(config, recorded_dataset)[1], 8)
    _, resumed = opened(config, recorded_dataset)
    resumed.load_state_dict({"step": 3})
    for found, wanted in zip(batches(resumed, 2), expected[6:], strict=True):
        assert (found["step"], found["position"]) == (wanted["step"], wanted["position"])
        assert torch.equal(found["index"], wanted["index"])


@pytest.mark.parametrize("cache", [True, False])
def test_loading_processes_give_the_same_batches(recorded_dataset: Path, cache: bool) -> None:
    expected = batches(opened(AUGMENTED, recorded_dataset)[1], 3)
    apart = replace(
        AUGMENTED,
        dataset=replace(AUGMENTED.dataset, cache=cache),
        trainer=replace(AUGMENTED.trainer, workers=1),
    )
    for found, wanted in zip(batches(opened(apart, recorded_dataset)[1], 3), expected, strict=True):
        assert torch.equal(found["index"], wanted["index"])
        assert torch.equal(found[CAMERA], wanted[CAMERA])


def test_number_of_loading_processes() -> None:
    decoding = replace(ACT, dataset=DatasetConfig(cache=False))
    assert [loading_processes(ACT, "cpu"), loading_processes(ACT, "cuda")] == [0, 2]
    assert loading_processes(decoding, "cpu") == 2
    assert loading_processes(replace(ACT, trainer=TrainerConfig(workers=3)), "cpu") == 3


def test_augmented_as_lerobot_does(recorded_dataset: Path) -> None:
    """The transforms LeRobotDataset applies, on float pictures, given the same draws."""
    (batch,) = batches(opened(AUGMENTED, recorded_dataset)[1], 1)
    import draccus

    transforms = ImageTransforms(draccus.decode(ImageTransformsConfig, AUGMENTED.dataset.image_transforms))
    dataset: Any = LeRobotDataset("local/tiny", root=recorded_dataset, image_transforms=transforms)
    plain: Any = LeRobotDataset("local/tiny", root=recorded_dataset)
    state = torch.get_rng_state()
    for place, index in enumerate(batch["index"].tolist()):
        seed = np.random.SeedSequence([AUGMENTED.seed, 0, place]).generate_state(1, np.uint64)[0]
        torch.manual_seed(int(seed))
        for name, picture in dataset[index].items():
            if name.startswith("observation.images."):
                torch.testing.assert_close(batch[name][place], picture, rtol=0, atol=0)
                assert not torch.equal(picture, plain[index][name])
    torch.set_rng_state(state)


def test_augmentation_follows_from_seed_step_and_place(recorded_dataset: Path) -> None:
    one = batches(opened(AUGMENTED, recorded_dataset)[1], 4)
    halves = [
        batches(
            opened(
                replace(AUGMENTED, trainer=replace(AUGMENTED.trainer, batch_size=2)),
                recorded_dataset,
                rank,
                2,
            )[1],
            4,
        )
        for rank in range(2)
    ]
    torch.manual_seed(123)  # whatever was drawn before must not matter, and is not disturbed
    state = torch.get_rng_state()
    again = batches(opened(AUGMENTED, recorded_dataset)[1], 4)
    assert torch.equal(torch.get_rng_state(), state)
    for step in range(4):
        both = torch.cat([halves[0][step][CAMERA], halves[1][step][CAMERA]])
        assert torch.equal(both, one[step][CAMERA])
        assert torch.equal(again[step][CAMERA], one[step][CAMERA])
    other = batches(opened(replace(AUGMENTED, seed=1), recorded_dataset)[1], 1)
    assert not torch.equal(other[0][CAMERA], one[0][CAMERA])


def test_validation_covers_the_held_out_frames_once_and_unchanged(recorded_dataset: Path) -> None:
    settings = replace(AUGMENTED.dataset, eval_split=0.3)
    config = replace(AUGMENTED, dataset=settings, trainer=replace(ACT.trainer, max_eval_samples=10))
    frames, data = opened(config, recorded_dataset)
    assert len(frames.validation) == 10
    found = validation(data)
    assert [part["position"] for part in found] == [0, 4, 8]
    assert np.array_equal(joined(found, "index").numpy(), frames.validation)
    valid = int((~joined(found, "action_is_pad")).sum())
    assert {(part["step_samples"], part["step_valid_ticks"]) for part in found} == {(10, valid)}
    assert all(part[CAMERA].dtype == torch.uint8 for part in found)
    parts = [validation(opened(config, recorded_dataset, rank, 2)[1]) for rank in range(2)]
    assert [[part["position"] for part in share] for share in parts] == [[0, 8], [4]]
    _, without = opened(replace(config, dataset=DatasetConfig()), recorded_dataset)
    assert validation(without) == []


def test_sampler_draws_in_proportion(recorded_dataset: Path) -> None:
    config = replace(ACT, weights=WeightsConfig(apply="sampler"))
    frames, data = opened(config, recorded_dataset)
    epochs, size = 40, len(frames.drawable)
    index = joined(batches(data, epochs * size // 4), "index").numpy()
    share = np.bincount(index, minlength=FRAMES)[frames.drawable] / epochs
    assert np.abs(share - frames.weights[frames.drawable]).max() < 0.25
    assert set(index) <= set(frames.drawable)


@pytest.mark.parametrize(
    ("transforms", "message"),
    [
        ({"tfs": {"a": {"type": "Blurry"}}}, r"Transform 'Blurry' is not valid"),
        ({"tfs": {"a": {"type": "ColorJitter", "kwargs": {"bright": 1}}}}, r"unexpected keyword argument"),
        ({"tfs": {"a": {"kind": "ColorJitter"}}}, r"kind"),
    ],
)
def test_augmentation_that_lerobot_refuses(
    recorded_dataset: Path, transforms: dict[str, Any], message: str
) -> None:
    config = replace(ACT, dataset=DatasetConfig(image_transforms={"enable": True, **transforms}))
    with pytest.raises(InputError, match=f"dataset.image_transforms .*{message}") as raised:
        opened(config, recorded_dataset)
    assert "\n" not in str(raised.value)


def test_augmentation_that_changes_the_size(recorded_dataset: Path) -> None:
    resized = {"enable": True, "tfs": {"a": {"type": "Resize", "kwargs": {"size": [16, 16]}}}}
    config = replace(ACT, dataset=DatasetConfig(image_transforms=resized))
    with pytest.raises(InputError, match=r"\(3, 16, 16\) of \(3, 32, 32\).*policy.resize_shape"):
        batches(opened(config, recorded_dataset)[1], 1)


def test_loss_and_sampler_have_the_same_expected_gradient(recorded_dataset: Path) -> None:
    """Of the real training step on the real batches; a chunk of one action has no padding."""
    # Of ResNet-18: frames have to differ by more than what chance leaves of the draws.
    act = replace(tiny("steady act").policy, vision_backbone="resnet18", chunk_size=1, n_action_steps=1)
    config = replace(ACT, policy=act, trainer=replace(ACT.trainer, state_noise=0.0))
    sampling = replace(config, weights=WeightsConfig(apply="sampler"))
    meta = load_meta(recorded_dataset)
    (frames, weighted), (_, sampled) = (opened(one, recorded_dataset) for one in (config, sampling))
    torch.manual_seed(0)
    modules = [training_module(one, meta, frames.weights, "cpu").train() for one in (config, sampling)]
    modules[1].load_state_dict(modules[0].state_dict())
    count = len(frames.drawable)

    def gradient(module: WeightedPolicy, batch: dict[str, Any]) -> torch.Tensor:
        module.zero_grad()
        module._trainer = cast(Any, SimpleNamespace(global_step=batch["step"], world_size=1))
        module.training_step(module.on_before_batch_transfer(dict(batch), 0), 0).backward()
        return torch.cat([p.grad.flatten() for p in module.parameters() if p.grad is not None])

    def by_name(joint: torch.Tensor) -> dict[str, torch.Tensor]:
        with_gradient = [(name, p) for name, p in modules[0].named_parameters() if p.grad is not None]
        parts = joint.split([p.numel() for _, p in with_gradient])
        return {name: part for (name, _), part in zip(with_gradient, parts, strict=True)}

    def alone(frame: int) -> torch.Tensor:
        """The gradient of one frame, with weight 1."""
        batch = weighted.dataset.batch(np.array([frame]))
        return gradient(
            modules[1], {**batch, "step": 0, "position": 0, "step_samples": 1, "step_valid_ticks": 1}
        )

    own = torch.zeros(FRAMES, len(alone(int(frames.drawable[0]))))
    for frame in frames.drawable:
        own[frame] = alone(int(frame))
    weights = torch.from_numpy(frames.weights)
    # Pictures one by one go through other kernels than four at once; it uses up to 1.2 of the usual room.
    room = 2 * ROOM
    for batch in batches(weighted, 3):
        index = batch["index"]
        expected = (weights[index, None] * own[index]).mean(0)
        assert_gradients_close(by_name(gradient(modules[0], batch)), by_name(expected), TERMS, room)
    for batch in batches(sampled, 3):
        expected = own[batch["index"]].mean(0)
        assert_gradients_close(by_name(gradient(modules[1], batch)), by_name(expected), TERMS, room)
    epochs = 100
    drawn = joined(batches(sampled, epochs * count // 4), "index")
    by_sampler = torch.bincount(drawn, minlength=FRAMES).float() @ own / len(drawn)
    by_loss, plain = weights @ own / count, own[frames.drawable].mean(0)
    assert (by_sampler - by_loss).norm() < 0.05 * by_loss.norm()
    assert (plain - by_loss).norm() > 0.2 * by_loss.norm()


@pytest.mark.parametrize("cache", [True, False])
def test_batches_go_to_loading_processes_that_are_not_forked(recorded_dataset: Path, cache: bool) -> None:
    """macOS and Windows start them anew and send them the dataset."""
    config = replace(ACT, dataset=DatasetConfig(cache=cache))
    loader = opened(config, recorded_dataset)[1].train_dataloader()
    first = loader.dataset[0]
    again = pickle.loads(pickle.dumps(loader.dataset))[0]
    assert first.keys() == again.keys()
    assert torch.equal(first["index"], again["index"])
    assert torch.equal(first[CAMERA], again[CAMERA])
