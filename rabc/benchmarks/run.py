"""Runs the parts of a benchmark, prints the table and writes the JSON."""

import tempfile
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch

from rabc.benchmarks import labelling, models
from rabc.benchmarks import scoring as measure
from rabc.benchmarks.lines import HEADERS, Line, machine
from rabc.benchmarks.page import fill
from rabc.scoring.schedule import sample_frame_indices
from rabc.system.atomic import write_json
from rabc.system.device import resolve_device
from rabc.system.terminal import table

RAW_CLIPS = (64, 256, 984)
"""Frames of the raw clips at 30 fps whose scoring is timed on a GPU, sampled at 2 fps."""


def scoring(
    parts: Sequence[str],
    device: str,
    architecture: models.Architecture,
    repeats: int,
    json: str | None,
    page: str | None,
) -> list[Line]:
    """Everything `rabc benchmark scoring` measures; prints the lines it returns."""
    device = resolve_device(device)
    lines: list[Line] = []
    facts: dict[str, Any] = {"machine": machine(device)}
    with tempfile.TemporaryDirectory(prefix="rabc-benchmark-") as name:
        folder = Path(name)
        if "exactness" in parts:
            lines += measure.exactness(200)
        if "parity" in parts:
            lines += measure.parity(folder)
        if "cost" in parts:
            facts["cost"] = _cost(lines, device, architecture, repeats)
        if "labelling" in parts:
            found, facts["labelling"] = labelling.against_lerobot(folder, repeats)
            lines += found
        if "memory" in parts:
            found, facts["memory"] = labelling.memory(folder, (200, 2000, 20_000))
            lines += found
    _report("scoring", device, lines, facts, json, page)
    return lines


def data(
    parts: Sequence[str], device: str, repeats: int, quick: bool, json: str | None, page: str | None
) -> list[Line]:
    """Everything `rabc benchmark data` measures; prints the lines it returns."""
    from rabc.benchmarks import data as measure

    device = resolve_device(device)
    sizes = measure.QUICK if quick else measure.Sizes()
    with tempfile.TemporaryDirectory(prefix="rabc-benchmark-") as folder:
        lines, facts = measure.loading(Path(folder), parts, device, repeats, sizes)
    return _trained("data", device, lines, facts, quick, json, page)


def training(
    parts: Sequence[str], device: str, repeats: int, quick: bool, json: str | None, page: str | None
) -> list[Line]:
    """Everything `rabc benchmark training` measures; prints the lines it returns."""
    from rabc.benchmarks import training as measure

    device = resolve_device(device)
    sizes = measure.quick() if quick else measure.Sizes()
    with tempfile.TemporaryDirectory(prefix="rabc-benchmark-") as folder:
        bench = measure.Bench(Path(folder), device, repeats, sizes)
        lines, facts = measure.measure(parts, bench)
    return _trained("training", device, lines, facts, quick, json, page)


def rollouts(
    parts: Sequence[str], policy: str, repeats: int, quick: bool, json: str | None, page: str | None
) -> list[Line]:
    """Everything `rabc benchmark rollouts` measures; prints the lines it returns."""
    from rabc.benchmarks import rollouts as measure

    torch.set_num_threads(1)  # as each of the processes that play rollouts has
    bench = measure.Bench(Path(policy), repeats)
    lines, facts = measure.measure(parts, replace(bench, starts=1, max_ticks=4) if quick else bench)
    if quick:
        lines = _without_bounds(lines)
    _report("rollouts", "cpu", lines, {"machine": machine("cpu"), **facts}, json, page)
    return lines


def inference(
    parts: Sequence[str], repeats: int, quick: bool, json: str | None, page: str | None
) -> list[Line]:
    """Everything `rabc benchmark inference` measures; prints the lines it returns."""
    from rabc.benchmarks import inference as measure

    with tempfile.TemporaryDirectory(prefix="rabc-benchmark-") as folder:
        lines, facts = measure.measure(measure.asked(parts), Path(folder), 1 if quick else repeats)
    _report("inference", "cpu", lines, {"machine": machine("cpu"), **facts}, json, page)
    return lines


def episodes(
    parts: Sequence[str], repeats: int, quick: bool, json: str | None, page: str | None
) -> list[Line]:
    """Everything `rabc benchmark episodes` measures; prints the lines it returns."""
    from rabc.benchmarks import many_episodes as measure
    from rabc.benchmarks.synthetic import Sizes

    counts, sizes = sorted(map(int, parts)), Sizes()
    if quick:
        counts, sizes, repeats = [2, 4], measure.QUICK, 1
    with tempfile.TemporaryDirectory(prefix="rabc-benchmark-") as folder:
        lines, facts = measure.measure(Path(folder), counts, sizes, repeats)
    if quick:
        lines = _without_bounds(lines)
    _report("episodes", "cpu", lines, {"machine": machine("cpu"), **facts}, json, page)
    return lines


def _trained(
    name: str,
    device: str,
    lines: list[Line],
    facts: dict[str, Any],
    quick: bool,
    json: str | None,
    page: str | None,
) -> list[Line]:
    """Reports what has to do with LeRobot's decoder; without bounds where the figures mean nothing."""
    from lerobot.datasets.video_utils import get_safe_default_video_backend

    if quick:
        lines = _without_bounds(lines)
    about = machine(device) | {"LeRobot decodes with": get_safe_default_video_backend()}
    _report(name, device, lines, {"machine": about, **facts}, json, page)
    return lines


def _without_bounds(lines: Sequence[Line]) -> list[Line]:
    return [replace(line, required="", holds=None) for line in lines]


def _report(
    name: str, device: str, lines: list[Line], facts: dict[str, Any], json: str | None, page: str | None
) -> None:
    """Prints the table; writes JSON and page where asked for."""
    print(" ".join(f"{key} {value};" for key, value in facts["machine"].items()))
    print(table([line.cells() for line in lines], HEADERS))
    if json is not None:
        write_json(Path(json), {**facts, "lines": [asdict(line) for line in lines]})
    if page is not None:
        fill(Path(page), f"{name} {torch.device(device).type}", facts["machine"], lines)


def _cost(lines: list[Line], device: str, architecture: models.Architecture, repeats: int) -> Any:
    on_gpu = torch.device(device).type == "cuda"
    dtype = torch.bfloat16 if on_gpu else torch.float32
    scorer = models.random_scorer(architecture, device, dtype, 2.0)
    large = models.parameters(scorer) >= 100_000_000
    clips = [(64, (480, 640), large), (64, (96, 96), False)]
    if on_gpu:
        raw = [len(sample_frame_indices(count, 30.0, 2.0)) for count in RAW_CLIPS]
        clips += [(count, (480, 640), False) for count in raw]
    found: list[Any] = []
    for count, size, bounds in clips:
        some, facts = measure.cost(scorer, count, size, 15, repeats, bounds)
        lines += some
        found.append(facts)
    lines += measure.drift(scorer, 32, (96, 96), 15)
    return {
        "architecture": architecture, "parameters": models.parameters(scorer), "dtype": str(dtype),
        "clips": found,
    }  # fmt: skip
