"""Simulated demonstrations, recorded once (40 s) for all tests that leave them as they are."""

from collections.abc import Generator
from pathlib import Path

import pytest

from rabc.config import DemonstrationsConfig
from rabc.sim.recorder import record
from tests.integration.browser import CHROMIUM, Browser, browser


@pytest.fixture(scope="session")
def demonstrations() -> DemonstrationsConfig:
    """Half of them fail; start states that no shipped run uses, so that no scorer has learnt from them."""
    return DemonstrationsConfig(
        episodes=12, clean=0.5, give_up=0.5, stall=0.0, retry=0.0, drop=0.0, detour=0.0, first_seed=900_000,
        processes=1,
    )  # fmt: skip


@pytest.fixture(scope="session")
def simulated(demonstrations: DemonstrationsConfig, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of the recorded `demonstrations`."""
    root = tmp_path_factory.mktemp("simulated") / "demonstrations"
    record(demonstrations, root)
    return root


@pytest.fixture(scope="session")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Generator[Browser]:
    """A tab of a headless browser; skips where there is none."""
    if CHROMIUM is None:
        pytest.skip("needs Chromium")
    with browser(tmp_path_factory.mktemp("profile")) as opened:
        yield opened
