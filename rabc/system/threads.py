"""How the threads of several processes share the cores of one machine. Imports no torch: it comes first."""

import os


def sleep_when_idle() -> None:
    """Lets idle threads sleep instead of spinning; call it before torch is imported.

    Processes that score side by side on a CPU each compute with as many threads as one process alone would,
    because the last bits of a score depend on their number. Spinning threads would then stop each other: on
    two cores, two processes took twice as long as with sleeping ones.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
