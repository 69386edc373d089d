"""The ways a command can end badly, each with its exit code.

Anything else that escapes is a bug and keeps its traceback.
"""


class RabcError(Exception):
    """Base of the errors a user can cause; `exit_code` is what the command returns."""

    exit_code = 1


class InputError(RabcError):
    """Bad input: the message names the thing, its value and the remedy."""

    exit_code = 2


class CheckFailed(RabcError):
    """A check that was asked for did not hold."""

    exit_code = 1


class VerdictRefused(RabcError):
    """The scorer's signal was judged unfit for weighting."""

    exit_code = 3


class Stopped(RabcError):
    """The user or the system asked the command to stop, and it did so in good order."""

    def __init__(self, message: str, signal_number: int) -> None:
        """
        Args:
            message: what was kept, and how to go on.
            signal_number: that asked; the exit code is what a shell makes of it.
        """
        super().__init__(message)
        self.exit_code = 128 + signal_number
