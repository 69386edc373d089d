"""What is published: an archive of the source without junk, and a wheel that runs without a clone."""

import json
import os
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest

from tests.support import REPO

PROJECT = tomllib.loads((REPO / "pyproject.toml").read_text())
LARGEST = 25_000_000
"""Bytes of the wheel."""
SCORERS = ("so101-scorer", "so101-place-scorer")
SOURCE = {
    "rabc", "configs", "checkpoints", "scripts", "tests", "docs", "README.md", "CHANGELOG.md",
    "CONTRIBUTING.md", "LICENSE", "pyproject.toml", ".gitignore", "PKG-INFO",
}  # fmt: skip
TWO_STEPS = [
    "--config", "so101_pick.yaml", "--demonstrations.episodes", "4", "--trainer.max_steps", "2",
    "--trainer.warmup_steps", "0", "--trainer.batch_size", "4", "--policy.dim_model", "32",
    "--policy.n_heads", "2", "--scorer.num_prefixes", "3", "--rollouts.episodes", "1",
    "--rollouts.max_ticks", "8", "--device", "cpu",
]  # fmt: skip


def build(target: str, source: Path, folder: Path) -> Path:
    """The archive that `uv build` makes of `source`, without asking a registry for the build tool."""
    command = [sys.executable, "-m", "hatchling", "build", "-t", target, "-d", str(folder)]
    subprocess.run(command, cwd=source, check=True, capture_output=True)
    [made] = folder.iterdir()
    return made


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The unpacked source archive."""
    folder = tmp_path_factory.mktemp("source")
    with tarfile.open(build("sdist", REPO, folder / "archive")) as archive:
        archive.extractall(folder, filter="data")
    [unpacked] = folder.glob("rabc-*")
    return unpacked


@pytest.fixture(scope="module")
def wheel(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from the source archive, as `uv build` does."""
    return build("wheel", source, tmp_path_factory.mktemp("wheel") / "made")


def files(folder: Path) -> set[str]:
    """Paths beneath a folder of the clone, from its top; without what Python compiles."""
    return {
        path.relative_to(REPO).as_posix()
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def test_the_source_archive_has_what_belongs_to_it_and_nothing_else(source: Path) -> None:
    assert {path.name for path in source.iterdir()} == SOURCE
    assert {path.name for path in (source / "checkpoints").iterdir()} == set(SCORERS)
    assert not [path for path in source.rglob("*") if path.suffix in (".pyc", ".ckpt", ".mp4", ".lock")]


def test_the_wheel_has_the_package_what_ships_with_it_and_nothing_else(wheel: Path) -> None:
    shipped = files(REPO / "configs").union(*(files(REPO / "checkpoints" / name) for name in SCORERS))
    about = f"rabc-{PROJECT['project']['version']}.dist-info"
    with zipfile.ZipFile(wheel) as archive:
        assert set(archive.namelist()) == {
            *files(REPO / "rabc"),
            *(f"rabc/shipped/{name}" for name in shipped),
            *(f"{about}/{name}" for name in ("METADATA", "WHEEL", "RECORD", "entry_points.txt")),
            f"{about}/licenses/LICENSE",
        }
        for name in shipped:
            assert archive.read(f"rabc/shipped/{name}") == (REPO / name).read_bytes(), name
    assert {Path(name).suffix for name in files(REPO / "rabc")} == {".py", ".html", ".css"}
    assert wheel.stat().st_size < LARGEST


def test_the_wheel_is_for_any_machine_and_forces_no_torch(wheel: Path) -> None:
    assert wheel.name.endswith("-py3-none-any.whl")
    assert "torch" in PROJECT["project"]["dependencies"]  # whatever LeRobot and the chosen index say
    assert "sources" not in PROJECT["tool"]["uv"]


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_installed_alone_it_runs_in_an_empty_folder(wheel: Path, tmp_path: Path) -> None:
    """Needs uv, and packages from its cache or the registry."""
    uv = shutil.which("uv")
    assert uv, "uv: not on the path; pip install uv"
    settings = {**os.environ, "UV_EXCLUDE_NEWER": PROJECT["tool"]["uv"]["exclude-newer"]}
    environment, empty = tmp_path / "environment", tmp_path / "empty"
    empty.mkdir()
    program = environment / "bin" / "rabc"
    for words in (
        ["venv", "--python", sys.executable, str(environment)],
        ["pip", "install", "--python", str(environment / "bin" / "python"), str(wheel)],
    ):
        subprocess.run([uv, *words], cwd=REPO, env=settings, check=True, capture_output=True)

    def rabc(*words: str) -> subprocess.CompletedProcess[str]:
        clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        return subprocess.run([program, *words], cwd=empty, env=clean, capture_output=True, text=True)

    said = rabc("--help")
    assert (said.returncode, said.stderr) == (0, "")
    assert rabc("--shipped").stdout.startswith(str(environment.resolve()))
    planned = rabc("train", "--config", "so101_pick.yaml", "--dry_run")
    assert planned.returncode == 0, planned.stderr
    assert not list(empty.iterdir())

    done = rabc("train", *TWO_STEPS)
    assert done.returncode == 0, done.stderr
    summary = json.loads((empty / "outputs" / "so101_pick" / "summary.json").read_text())
    assert summary["training"]["steps"] == 2
    assert (empty / "checkpoints" / "so101_pick" / "pretrained_model" / "model.safetensors").is_file()
    scored = rabc(
        "score", "--dataset.path", "data/so101_pick", "--scorer.num_prefixes", "3", "--device", "cpu"
    )
    assert scored.returncode == 0, scored.stderr
