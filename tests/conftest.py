"""Fixtures shared by all rooms: small real datasets, simulated demonstrations, tiny policies, a browser."""

import faulthandler
import logging
import os
import shutil
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

# Two test processes of two threads each would wait for one another on two cores; before torch is imported.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# The same of the threads that draw where there is no graphics card.
os.environ.setdefault("LP_NUM_THREADS", "0")

import pytest
from hypothesis import settings
from torch import Tensor

from rabc.config.settings import DemonstrationsConfig
from rabc.sim.recorder import record
from tests.support import tiny_policies
from tests.support.browser import CHROMIUM, Browser, browser
from tests.support.recordings import record_dataset
from tests.support.shared import base, made_once
from tests.support.simulating import simulating_here

# How long one example takes says more about what else the machine does than about the code.
settings.register_profile("rabc", deadline=None)
settings.load_profile("rabc")


# What takes longest comes first, so that no process has it left when the other is done.
LONGEST = (
    "pipeline/test_main_job", "training/test_loop", "policies/test_losses", "scoring/test_killed_scoring",
    "training/test_training", "comparison/test_plan", "diagnosis/test_dataset", "export/test_export",
    "scoring/small", "comparison/recorded/test_run", "robot/test_environments",
)  # fmt: skip


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files in the order of `LONGEST`, then the others as they were."""

    def place(item: pytest.Item) -> int:
        return next((i for i, name in enumerate(LONGEST) if f"tests/{name}" in item.nodeid), len(LONGEST))

    items.sort(key=place)


@pytest.fixture(scope="session", autouse=True)
def _cache_of_its_own(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Nothing of the user's cache is read or written; the machine is measured once for all test processes."""
    os.environ["RABC_CACHE"] = str(base(tmp_path_factory) / "cache")


@pytest.fixture(scope="module", autouse=True)
def _scores_of_its_own(tmp_path_factory: pytest.TempPathFactory) -> None:
    """What one file of tests has scored is not found by another, whose datasets show the same."""
    os.environ["XDG_DATA_HOME"] = str(tmp_path_factory.mktemp("data"))


@pytest.fixture
def scores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where scores of this test alone are kept."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    return tmp_path / "data" / "rabc" / "scores"


@pytest.fixture(autouse=True)
def _slow_tests_take_their_time(request: pytest.FixtureRequest) -> None:
    """`faulthandler_timeout` ends a run in which a test hangs; some slow ones take an hour."""
    if request.node.get_closest_marker("slow"):
        faulthandler.cancel_dump_traceback_later()


@pytest.fixture(autouse=True)
def _root_logger_as_python_has_it() -> None:
    """LeRobot's clients make it write everything to stderr and to a file, for the rest of the process."""
    root = logging.getLogger()
    root.setLevel(logging.WARNING)
    theirs = (logging.StreamHandler, logging.FileHandler)
    for handler in [one for one in root.handlers if type(one) in theirs]:
        root.removeHandler(handler)
        if isinstance(handler, logging.FileHandler):
            handler.close()


@pytest.fixture(autouse=True)
def _scheduled_as_before() -> Generator[None]:
    """The AV1 encoder, run by root, gives its thread real-time priority for the rest of its life.

    What that thread starts is so, too: two busy processes then leave it no core, and no test ends again.
    """
    yield
    if hasattr(os, "sched_setscheduler") and os.sched_getscheduler(0) != os.SCHED_OTHER:
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))


@pytest.fixture(scope="session")
def recorded_dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of the small dataset; shared, so leave it as it is."""
    return record_dataset(tmp_path_factory.mktemp("recorded") / "tiny")


@pytest.fixture(scope="session")
def recorded_pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same dataset with its frames stored as pictures in the tables instead of videos."""
    return record_dataset(tmp_path_factory.mktemp("recorded") / "pictures", storage="image")


@pytest.fixture
def dataset_copy(recorded_dataset: Path, tmp_path: Path) -> Callable[[], Path]:
    """Makes a copy of the small dataset that a test may damage."""

    def copy() -> Path:
        return shutil.copytree(recorded_dataset, tmp_path / "tiny")

    return copy


@pytest.fixture(scope="session")
def demonstrations() -> DemonstrationsConfig:
    """Half of them fail; start states that no shipped run uses, so that no scorer has learnt from them."""
    return DemonstrationsConfig(
        episodes=12, clean=0.5, give_up=0.5, stall=0.0, retry=0.0, drop=0.0, detour=0.0, first_seed=900_000,
        processes=1,
    )  # fmt: skip


@pytest.fixture(scope="session")
def simulated(demonstrations: DemonstrationsConfig, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of the recorded `demonstrations`; shared, but for what is added to it."""

    def make(root: Path) -> None:
        with simulating_here():
            record(demonstrations, root)

    made = made_once(tmp_path_factory, "simulated", make)
    return shutil.copytree(made, tmp_path_factory.mktemp("simulated") / "demonstrations")


@pytest.fixture(scope="session")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Generator[Browser]:
    """A tab of a headless browser; skips where there is none."""
    if CHROMIUM is None:
        pytest.skip("needs Chromium")
    with browser(tmp_path_factory.mktemp("profile")) as opened:
        yield opened


@pytest.fixture(scope="session")
def smolvlm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a tiny SmolVLM."""
    return tiny_policies.make_smolvlm(tmp_path_factory.mktemp("smolvlm"))


@pytest.fixture
def tiny_policy(request: pytest.FixtureRequest) -> Callable[..., Any]:
    """`tiny_policies.tiny_policy`, with a tiny SmolVLM where it is needed."""

    def make(kind: str, **changes: Any) -> Any:
        smolvlm = request.getfixturevalue("smolvlm") if kind == "smolvla" else None
        return tiny_policies.tiny_policy(kind, smolvlm, **changes)

    return make


@pytest.fixture
def tiny_batch() -> Callable[..., dict[str, Tensor]]:
    """`tiny_policies.tiny_batch`."""
    return tiny_policies.tiny_batch
