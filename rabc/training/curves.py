"""TensorBoard's curves: in order whatever the clock says; one line where their thread leaves a traceback."""

import threading
import time
import traceback
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

from rabc.system.errors import InputError

_EVENTS = "events.out.tfevents."


def put_before_now(folder: Path) -> None:
    """Renames the event files of earlier sessions that claim to be of now or later.

    TensorBoard reads the files of a folder in the order of their names, which begin with the second they were
    made in. Where the clock was set back it would read the newest file first, and forget it at the start of
    the one before. Raises OSError.

    folder: of the curves; need not be there.
    """
    now = int(time.time())
    for path in sorted(folder.glob(f"{_EVENTS}*")):
        rest = path.name.removeprefix(_EVENTS)
        if rest.partition(".")[0] >= f"{now:010d}":
            path.rename(path.with_name(f"{_EVENTS}{now - 1:010d}.{rest}"))


@contextmanager
def told_in_one_line(folder: Path, what_is_left: Callable[[], str]) -> Generator[None]:
    """Raises InputError where curves could not be written while the block ran.

    TensorBoard writes in a thread, which prints its traceback when it fails, and the next one who logs a
    number or closes the file gets the same error: also where the training is ending because of another one,
    which is then the one that is raised.

    Args:
        folder: of the curves.
        what_is_left: for the end of the message: the last good checkpoint.
    """
    before = threading.excepthook

    def hook(failed: threading.ExceptHookArgs) -> None:
        if not _of_tensorboard(failed.exc_value):
            before(failed)

    threading.excepthook = hook
    try:
        yield
    except OSError as error:
        if not _of_tensorboard(error):
            raise
        earlier = error.__context__
        while earlier is not None and not isinstance(earlier, InputError):
            earlier = earlier.__context__
        if earlier is not None:
            raise earlier from None
        raise InputError(
            f"curves {folder}: cannot be written ({error.strerror or error}); check space and permissions; "
            f"{what_is_left()}"
        ) from error
    finally:
        threading.excepthook = before


def _of_tensorboard(error: BaseException | None) -> bool:
    """Whether writing curves failed, and not something else."""
    if not isinstance(error, OSError):
        return False
    frames = (frame for frame, _ in traceback.walk_tb(error.__traceback__))
    return any(str(frame.f_globals.get("__name__", "")).startswith("tensorboard.") for frame in frames)
