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


def here_or_shipped(name: str) -> str:
    """What the path `name` means: what is there, else what is shipped under that name, else `name` itself."""
    shipped = SHIPPED / name
    return str(shipped) if not Path(name).exists() and shipped.exists() else name
