"""`rabc benchmark training`: against `lerobot-train`, against a bare loop, and memory."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import numpy as np

from rabc.benchmarks import loops
from rabc.benchmarks.lines import Line, at_least, at_most
from rabc.benchmarks.recordings import record_cameras, simulated, without_cache
from rabc.benchmarks.trainers import (
    Trained,
    differing,
    fair,
    log_every,
    train_ours,
    train_theirs,
    unscored,
)
from rabc.config import cli
from rabc.config.settings import Config
from rabc.config.training_settings import PolicyConfig, TrainerConfig

DIFFUSION = PolicyConfig(
    type="diffusion", resize_shape=[96, 96], n_obs_steps=2, horizon=16, n_action_steps=8,
    down_dims=[128, 256, 512], use_group_norm=True,
)  # fmt: skip
TINY_DIFFUSION = replace(
    DIFFUSION, resize_shape=[32, 32], horizon=8, n_action_steps=4, down_dims=[16, 32],
    extra={"n_groups": 4, "diffusion_step_embed_dim": 16, "spatial_softmax_num_keypoints": 4},
)  # fmt: skip
TINY_ACT = PolicyConfig(
    chunk_size=5, n_action_steps=5, dim_model=32, n_heads=4, dim_feedforward=64, n_encoder_layers=1,
    use_vae=False, dropout=0.0,
)  # fmt: skip


def shipped_act() -> Config:
    """configs/so101_pick.yaml."""
    return cli.parse(["--config", "so101_pick.yaml"], None).config


@dataclass(frozen=True)
class Sizes:
    """How much is trained."""

    cameras: tuple[int, int, tuple[int, int]] = (6, 200, (480, 640))
    """Episodes, their frames, and height and width of the pictures that Diffusion is trained on."""
    diffusion: PolicyConfig = DIFFUSION
    diffusion_batch: int = 8
    diffusion_steps: int = 800
    episodes: int = 100
    """Simulated demonstrations."""
    few_episodes: int = 10
    """Simulated demonstrations that memory is compared with."""
    image_size: int = 96
    """Height and width of their pictures."""
    act: Config = field(default_factory=shipped_act)
    act_steps: int = 400
    block: int = 20
    """Steps of a block of the loops."""
    blocks: int = 12
    wait_steps: int = 200
    memory_steps: int = 300


def quick() -> Sizes:
    """Shows that everything runs; its figures mean nothing."""
    act = Config(policy=TINY_ACT, trainer=TrainerConfig(batch_size=4, warmup_steps=1))
    return Sizes((2, 20, (64, 96)), TINY_DIFFUSION, 2, 6, 3, 2, 32, act, 6, 2, 2, 6, 6)


@dataclass(frozen=True)
class Bench:
    """Where and how the parts are measured."""

    folder: Path
    """Empty; takes everything that is made."""
    device: str
    repeats: int
    """Runs of each whole command."""
    sizes: Sizes

    def act(self, steps: int) -> Config:
        """The shipped ACT configuration with another length."""
        config = self.sizes.act
        return replace(
            config, device=self.device,
            trainer=replace(config.trainer, max_steps=steps, log_every=log_every(steps)),
        )  # fmt: skip

    def demonstrations(self, episodes: int) -> Path:
        """Simulated demonstrations, made once."""
        root = self.folder / f"simulated-{episodes}"
        if not root.exists():
            print(f"  {episodes} simulated demonstrations", flush=True)
            simulated(root, episodes, self.sizes.image_size)
        return root


Measured = tuple[list[Line], dict[str, Any]]


def diffusion(bench: Bench) -> Measured:
    """Diffusion at a smaller size than two cameras give."""
    sizes = bench.sizes
    episodes, frames, size = sizes.cameras
    print(f"  recording {episodes} episodes of {frames} frames", flush=True)
    root = record_cameras(bench.folder / "cameras", episodes, frames, size)
    config = Config(
        device=cast(Any, bench.device),
        policy=sizes.diffusion,
        trainer=TrainerConfig(max_steps=sizes.diffusion_steps, batch_size=sizes.diffusion_batch),
    )
    what = "Diffusion, two cameras of {}x{} seen at {}x{}".format(
        *size, *(config.policy.resize_shape or size)
    )
    return _against_lerobot(bench, what, fair(config, root), 2.0)


def act(bench: Bench) -> Measured:
    """ACT at the size of the simulated cameras, with LeRobot's frozen normalisation."""
    root = bench.demonstrations(bench.sizes.episodes)
    config = bench.act(bench.sizes.act_steps)
    defaults = TrainerConfig(max_steps=config.trainer.max_steps, batch_size=config.trainer.batch_size)
    config = replace(config, policy=replace(config.policy, batch_norm="frozen"), trainer=defaults)
    side = bench.sizes.image_size
    return _against_lerobot(bench, f"ACT, two cameras of {side}x{side}", fair(config, root), 1.0)


def loop(bench: Bench) -> Measured:
    """What Lightning and all that hangs on it add to a step."""
    sizes = bench.sizes
    config = unscored(bench.act(1), bench.demonstrations(sizes.episodes))
    steps = (sizes.blocks + 1) * sizes.block + 2
    trainer = replace(
        config.trainer, max_steps=steps, checkpoint_every=steps, state_noise=0.0, precision="32-true",
        log_every=20, workers=0,
    )  # fmt: skip
    turns = loops.step_times(
        replace(config, trainer=trainer), bench.device, bench.folder / "loop", sizes.block, sizes.blocks
    )
    ours, bare = float(np.median(turns.lightning)), float(np.median(turns.bare))
    detail = f"{ours * 1e3:.1f} ms / {bare * 1e3:.1f} ms, {sizes.blocks} blocks of {sizes.block} steps each"
    line = at_most("step of the training loop / of a bare PyTorch loop, ACT", ours / bare, 1.05, "x", detail)
    return [line], {"lightning_seconds": turns.lightning, "bare_seconds": turns.bare}


def wait(bench: Bench) -> Measured:
    """How long a real training waits for its data."""
    root = bench.demonstrations(bench.sizes.episodes)
    config = unscored(bench.act(bench.sizes.wait_steps), root)
    trained = _run("ours", train_ours, config, bench.folder / "wait")
    detail = f"{bench.sizes.wait_steps} steps of {trained.step_seconds * 1e3:.1f} ms"
    line = at_most("share of a step that waits for data, ACT", 100 * trained.data_wait, 3.0, "%", detail)
    return [line], asdict(trained)


def memory(bench: Bench) -> Measured:
    """Memory of trainings on few and on many episodes, whose frames are cached already."""
    lines: list[Line] = []
    runs: dict[str, Trained] = {}
    few, many, steps = bench.sizes.few_episodes, bench.sizes.episodes, bench.sizes.memory_steps
    for episodes in (few, many):
        root = without_cache(bench.demonstrations(episodes))
        first = unscored(bench.act(1), root)
        first = replace(first, trainer=replace(first.trainer, warmup_steps=0))
        name = f"cache of {episodes} episodes"
        built = _run(name, train_ours, first, bench.folder / f"memory-{episodes}-cache")
        what = f"peak memory of building the frame cache and one step, {episodes} episodes"
        lines.append(Line(what, built.memory.peak, "MB"))
        name = f"{episodes} episodes"
        config = unscored(bench.act(steps), root)
        runs[name] = _run(name, train_ours, config, bench.folder / f"memory-{episodes}")
    small, large = (runs[f"{episodes} episodes"].memory for episodes in (few, many))
    for what, above, below in (
        ("peak memory of training", large.peak, small.peak),
        ("memory while it trains (median)", large.median, small.median),
    ):
        detail = f"{above:.0f} MB / {below:.0f} MB, {steps} steps"
        lines.append(at_most(f"{what}, {many} / {few} episodes", above / below, 1.05, "x", detail))
    return lines, {name: asdict(run.memory) for name, run in runs.items()}


PARTS: Mapping[str, Callable[[Bench], Measured]] = {
    "diffusion": diffusion, "act": act, "loop": loop, "wait": wait, "memory": memory,
}  # fmt: skip


def measure(parts: Sequence[str], bench: Bench) -> Measured:
    """The chosen parts, one after the other."""
    lines: list[Line] = []
    facts: dict[str, Any] = {}
    for name, part in PARTS.items():
        if name in parts:
            print(f"{name}:", flush=True)
            found, facts[name] = part(bench)
            lines += found
    return lines, facts


def speed_up(theirs: Sequence[float], ours: Sequence[float]) -> float:
    """Ratio of the median seconds of runs."""
    return float(np.median(theirs) / np.median(ours))


def _against_lerobot(bench: Bench, what: str, config: Config, bound: float) -> Measured:
    """Both commands in turn; ours begins each time without a frame cache, and makes one."""
    runs: dict[str, list[Trained]] = {"LeRobot": [], "ours": []}
    for repeat in range(bench.repeats):
        for name, work in (("LeRobot", train_theirs), ("ours", train_ours)):
            without_cache(Path(config.dataset.paths[0]))
            folder = bench.folder / f"{config.policy.type}-{name}-{repeat}"
            runs[name].append(_run(name, work, config, folder))
    theirs, ours = runs["LeRobot"], runs["ours"]
    other = differing(ours[0].policy, theirs[0].policy)
    if other:
        raise RuntimeError(f"{what}: the two policies are not the same: {other}")
    steps = config.trainer.max_steps
    whole = speed_up([run.seconds for run in theirs], [run.seconds for run in ours])
    step = speed_up([run.step_seconds for run in theirs], [run.step_seconds for run in ours])
    wait = f"{100 * theirs[0].data_wait:.0f} % of it data"
    lines = [
        at_least(
            f"{what}: lerobot-train / rabc train, whole command", whole, bound, "x",
            f"{_median(theirs, 'seconds'):.0f} s / {_median(ours, 'seconds'):.0f} s, {steps} steps of "
            f"{config.trainer.batch_size}, {bench.repeats} runs each, frame cache built in ours",
        ),
        Line(
            f"{what}: a step once it runs", step, "x",
            detail=f"{_median(theirs, 'step_seconds') * 1e3:.0f} ms, {wait} / "
            f"{_median(ours, 'step_seconds') * 1e3:.0f} ms",
        ),
    ]  # fmt: skip
    return lines, {name: [asdict(run) for run in some] for name, some in runs.items()}


def _run(name: str, work: Callable[[Config, Path], Trained], config: Config, folder: Path) -> Trained:
    print(f"  {name} ...", flush=True)
    trained = work(config, folder)
    print(f"  {name}: {trained.seconds:.1f} s, {trained.step_seconds * 1e3:.1f} ms a step", flush=True)
    return trained


def _median(runs: Sequence[Trained], name: str) -> float:
    return float(np.median([getattr(run, name) for run in runs]))
