"""How long the pieces of a run take on this machine, as far as that can be found out in seconds."""

import hashlib
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

from rabc.config.settings import Config
from rabc.pipeline.machine import Measured, machine, measure, remembered
from rabc.system.quiet import no_library_bars
from rabc.system.shipped import here_or_shipped
from rabc.system.terminal import duration

SMALL_SCORER_BYTES = 300e6
"""A larger scorer is not loaded only to see how long it takes."""
MEASURED_POLICIES = ("act", "diffusion")
"""The others have billions of weights, or start from a download."""
STEP, CLIP, TICK, ROLLOUT_TICK = "training step", "scored episode", "simulated tick", "rollout tick"
NEEDED = {"demonstrations": (TICK,), "scores": (CLIP,), "training": (STEP,), "rollouts": (ROLLOUT_TICK, CLIP)}
"""Stage -> the pieces it consists of."""


@dataclass(frozen=True)
class Sizes:
    """What the work of a run depends on, of the dataset that is there or will be recorded."""

    root: Path | None
    """None: simulated demonstrations that are not there yet."""
    features: Mapping[str, Any]
    """As meta/info.json has them."""
    fps: float
    frames: int
    """Of an episode, on average."""


@dataclass(frozen=True)
class Rates:
    """Seconds of the pieces of a run, those that are known."""

    seconds: Mapping[str, float]
    """Piece -> seconds."""
    remark: str
    """Where they come from, for people."""


def rates(config: Config, sizes: Sizes | None, stages: Sequence[str], anew: bool = True) -> Rates:
    """Measures what `stages` need and this machine has not measured before; says so on stderr.

    sizes: None where no dataset is known. anew: False measures nothing. A piece that is not known and cannot
    be measured is left out; the remark says why.
    """
    from rabc.system.device import resolve_device

    device = resolve_device(config.device)
    wanted = list(dict.fromkeys(piece for stage in stages for piece in NEEDED.get(stage, ())))
    failed: dict[str, str] = {}
    works = {piece: work for piece in wanted if (work := _work(piece, config, sizes, device)) is not None}
    known = {piece: remembered(facts) for piece, (facts, _) in works.items()}
    found = {piece: one for piece, one in known.items() if one is not None}
    new = [piece for piece in works if piece not in found and anew]
    if new:
        no_library_bars()
    with tqdm(new, desc="measuring this machine, once", unit="", leave=False, disable=not new) as bar:
        for piece in bar:
            bar.set_postfix_str(piece)
            facts, work = works[piece]
            try:
                found[piece] = measure(facts, work)
            except Exception as error:  # whatever it is, it must not be in the way of a dry run
                failed[piece] = (str(error).strip() or type(error).__name__).splitlines()[0]
    return Rates({piece: one.seconds for piece, one in found.items()}, _remark(device, found, failed))


def _work(
    piece: str, config: Config, sizes: Sizes | None, device: str
) -> tuple[dict[str, Any], Callable[[], float]] | None:
    """What a piece's time depends on, and how to measure it; None where it cannot be."""
    facts: dict[str, Any] = {"piece": piece, **machine("cpu" if piece in (TICK, ROLLOUT_TICK) else device)}
    settings = config.demonstrations
    simulated = {"task": settings.task, "image_size": settings.image_size}
    if piece == TICK:

        def tick() -> float:
            from rabc.pipeline.measuring import simulated_tick

            return simulated_tick(settings)

        return {**facts, **simulated}, tick
    if sizes is None:
        return None
    if piece == CLIP:
        return _scoring(config, sizes, device, facts)
    if config.policy.type not in MEASURED_POLICIES or config.policy.pretrained_path:
        return None
    shapes = {name: [feature["dtype"], feature["shape"]] for name, feature in sizes.features.items()}
    facts |= {"policy": asdict(config.policy), "features": shapes}

    def metadata() -> Any:
        from rabc.datasets.metadata import load_meta

        return None if sizes.root is None else load_meta(sizes.root)

    def played_tick() -> float:
        from rabc.pipeline.measuring import rollout_tick

        return rollout_tick(config, metadata())

    if piece == ROLLOUT_TICK:
        return {**facts, **simulated}, played_tick
    trainer = config.trainer
    facts |= {
        "batch_size": trainer.batch_size, "micro_batches": trainer.accumulate_grad_batches,
        "asked_precision": trainer.precision, "asked_threads": trainer.threads,
    }  # fmt: skip

    def step() -> float:
        from rabc.pipeline.measuring import training_step

        return training_step(config, metadata(), device)

    return facts, step


def _scoring(
    config: Config, sizes: Sizes, device: str, facts: dict[str, Any]
) -> tuple[dict[str, Any], Callable[[], float]] | None:
    folder = Path(here_or_shipped(config.scorer.model))
    files = [path for path in folder.glob("*") if path.is_file()] if folder.is_dir() else []
    if not files or sum(path.stat().st_size for path in files) > SMALL_SCORER_BYTES:
        return None
    name = config.scorer.cameras[0]
    keys = [key for key in sizes.features if key.endswith(f".{name}") or key == name]
    if not keys:
        return None
    sides = [int(side) for side in sizes.features[keys[0]]["shape"]]
    height, width = sides[1:] if len(sides) == 3 and sides[0] in (1, 3) else sides[:2]
    content = sorted((path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in files)
    of = hashlib.sha256(json.dumps(content).encode()).hexdigest()[:16]
    facts = {
        **facts, "scorer": asdict(config.scorer), "files": of, "shape": [height, width],
        "frames": sizes.frames, "fps": sizes.fps,
    }  # fmt: skip

    def clip() -> float:
        from rabc.pipeline.measuring import scored_clip

        return scored_clip(config.scorer, (height, width), sizes.frames, sizes.fps, device)

    return facts, clip


def _remark(device: str, found: Mapping[str, Measured], failed: Mapping[str, str]) -> str:
    facts = machine(device)
    here = facts.get("device") or f"{facts['processor']}, {facts['cores']} cores, {facts['instructions']}"
    lines: list[str] = []
    if found:
        age = time.time() - min(one.time for one in found.values())
        when = "just now" if age < 60 else f"{duration(age)} ago" if age < 3600 else _days(age)
        lines.append(f"Times are of this machine ({here}, {facts['precision']}), measured {when}.")
        others = max(one.others for one in found.values())
        if any(one.busy for one in found.values()):
            lines.append(f"Other processes kept {others:.1f} cores busy meanwhile: alone it is faster.")
    lines += [f"The time of a {piece} could not be measured: {why}." for piece, why in failed.items()]
    return "\n".join(lines)


def _days(seconds: float) -> str:
    days = round(seconds / 86400)
    return f"{days} day{'s' if days > 1 else ''} ago" if days else "today"
