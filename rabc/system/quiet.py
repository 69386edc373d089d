"""Library chatter that would tear progress bars apart or bury our own messages."""

import logging
import os
import sys
import warnings


def quiet_libraries() -> None:
    """Silence what LeRobot, libav, transformers and others say about every file; their errors still show."""
    # LeRobot reports at length that torchcodec finds no FFmpeg; PyAV, which brings its own, decodes as well.
    logging.getLogger("lerobot.utils.import_utils").setLevel(logging.ERROR)
    logging.getLogger("lerobot").setLevel(logging.ERROR)
    logging.getLogger("libav").setLevel(logging.CRITICAL)
    logging.getLogger("httpx").setLevel(logging.WARNING)
    for library in ("lightning", "lightning.pytorch", "lightning.fabric", "lightning_utilities"):
        logging.getLogger(library).setLevel(logging.WARNING)
    warnings.filterwarnings(
        "ignore", category=FutureWarning, module=r"(lerobot|transformers|torchvision|datasets)"
    )
    if "transformers" not in sys.modules:  # read when it is first imported
        os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")


def no_library_bars() -> None:
    """Switch off the progress bars of datasets and transformers; imports both."""
    import datasets
    from transformers.utils import logging as transformers_logging

    datasets.disable_progress_bars()
    transformers_logging.disable_progress_bar()


def never_asks() -> None:
    """Let transformers refuse a model with code of its own, where it would ask [y/N] whether to run it.

    Imports it, as LeRobot does. The refusal is a ValueError.
    """
    from transformers import dynamic_module_utils

    dynamic_module_utils.TIME_OUT_REMOTE_CODE = 0
