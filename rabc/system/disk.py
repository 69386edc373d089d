"""What an error of a disk or a network share means to the user, wherever it is met."""

import errno
import os

from rabc.system.errors import InputError

_AGAIN = "then run the same command again"
_REMEDIES = {
    errno.ENAMETOOLONG: "give a shorter name",
    errno.ENOSPC: f"make room, {_AGAIN}",
    errno.EDQUOT: f"make room in your quota, {_AGAIN}",
    errno.EFBIG: f"allow larger files (ulimit -f), {_AGAIN}",
    errno.EROFS: f"make it writable or work in another folder, {_AGAIN}",
    errno.EIO: f"see whether the disk or the network share is well, {_AGAIN}",
    errno.ESTALE: f"mount the network share anew, {_AGAIN}",
    errno.ENOTCONN: f"mount the network share anew, {_AGAIN}",
}


_BROKEN = (errno.EIO, errno.ESTALE, errno.ENOTCONN)
"""Whatever a place of the program proposes, such as to download a file again, does not help against these."""


def instead(error: BaseException) -> InputError | None:
    """The line in the place of `error`'s own where a disk or share that is broken or gone is the cause."""
    cause = error.__cause__
    return disk_error(cause) if isinstance(cause, OSError) and cause.errno in _BROKEN else None


def denied(error: OSError) -> InputError | None:
    """The line for what nobody allowed; unlike those of `disk_error` it is no better than a place's own."""
    if not isinstance(error, PermissionError) or error.filename is None:
        return None
    path = os.fsdecode(error.filename)
    return InputError(
        f"path {path}: {error.strerror}; mend the permissions or work in another folder, {_AGAIN}"
    )


def disk_error(error: OSError) -> InputError | None:
    """The line for an error that no place knew better; None for one that says nothing of a disk."""
    remedy = _REMEDIES.get(error.errno or 0)
    if remedy is None or (error.errno == errno.ENOTCONN and error.filename is None):  # of a connection
        return None
    name = "disk" if error.filename is None else f"path {os.fsdecode(error.filename)}"
    return InputError(f"{name}: {error.strerror}; {remedy}")
