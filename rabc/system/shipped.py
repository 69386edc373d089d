"""What ships with the program besides code: configurations, and the small scorers.

In a clone they lie at its top, in `configs/` and `checkpoints/`; an installed wheel carries them inside the
package, in `rabc/shipped/`. What lies in the working folder comes first, so that a copy may be changed.
"""

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parents[1]
SHIPPED = _PACKAGE / "shipped" if (_PACKAGE / "shipped").is_dir() else _PACKAGE.parent
"""The folder with `configs/` and `checkpoints/`."""
CONFIGS = SHIPPED / "configs"
"""The shipped YAMLs."""
SCORERS = ("so101-scorer", "so101-place-scorer")
"""The shipped scorers, folders of `checkpoints/`."""


def here_or_shipped(name: str) -> str:
    """What the path `name` means: what is there, else what is shipped under that name, else `name` itself."""
    shipped = SHIPPED / name
    # A clone has other files there as well, which nobody elsewhere may get in place of a path that is wrong.
    ships = any(
        shipped.is_relative_to(place) for place in (CONFIGS, *(SHIPPED / "checkpoints" / s for s in SCORERS))
    )
    return str(shipped) if ships and not Path(name).exists() and shipped.exists() else name
