"""TensorBoard's curves on a full disk: one line instead of the traceback of the thread that writes them."""

import threading
import traceback
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

from rabc.system.errors import InputError


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
