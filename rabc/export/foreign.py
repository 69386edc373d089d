"""Loads policy folders that others made: looked at first, as LeRobot loads them then."""

import contextlib
import io
from pathlib import Path
from typing import Any

from rabc.export import lerobot_only
from rabc.policies.door import CONFIG, POSTPROCESSOR, PREPROCESSOR, WEIGHTS, admitted
from rabc.policies.sizes import check_sizes
from rabc.system.quiet import never_asks


def load_folder(folder: Path, device: str = "cpu") -> tuple[Any, Any, Any]:
    """Policy, preprocessor and postprocessor as `lerobot_only.load` gives them; nothing of the folder is run.

    Raises InputError for what is not let in, and what LeRobot raises for what is not whole.
    """
    from lerobot.configs import PreTrainedConfig

    never_asks()
    with admitted(folder) as own:
        for name in (CONFIG, WEIGHTS, PREPROCESSOR, POSTPROCESSOR):
            if not (own / name).exists():
                raise FileNotFoundError(f"{name} not found in {folder}")
        words = io.StringIO()
        try:
            with contextlib.redirect_stderr(words):  # draccus prints what it cannot parse and exits
                settings = PreTrainedConfig.from_pretrained(own)
        except SystemExit as error:
            raise ValueError((words.getvalue().strip() or CONFIG).splitlines()[-1]) from error
        check_sizes(str(folder), settings, own / WEIGHTS)
        return lerobot_only.load(own, device)
