"""Random content for as long as somebody has patience, for the slow tests."""

import faulthandler
import os
import secrets
import time
from collections.abc import Callable

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

MINUTES = float(os.environ.get("RABC_FUZZ_MINUTES", "10"))
"""Of each kind of file: there are six, and together they take an hour."""
_AT_ONCE = 25
_PATIENT = settings(
    max_examples=_AT_ONCE, derandomize=False, database=None, deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.generate],  # looking for a smaller example takes longer than looking at this one
)  # fmt: skip


def for_minutes(check: Callable[[st.DataObject], object], minutes: float = MINUTES) -> int:
    """Calls `check` with ever new data until the time is up; how often.

    Rounds have one seed after the other; each is printed before it begins, so that the last one said is that
    of what was found, and `RABC_FUZZ_SEED=<seed>` begins with it.
    """
    faulthandler.cancel_dump_traceback_later()  # pytest's, which ends the run after some minutes
    number = int(os.environ.get("RABC_FUZZ_SEED", "0")) or secrets.randbits(32)
    calls = 0

    def counted(data: st.DataObject) -> None:
        nonlocal calls
        calls += 1
        check(data)

    until = time.monotonic() + 60 * minutes
    while time.monotonic() < until:
        print(f"RABC_FUZZ_SEED={number}", flush=True)
        seed(number)(_PATIENT(given(st.data())(counted)))()
        number += 1
    print(f"{calls} examples", flush=True)
    return calls
