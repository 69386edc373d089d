"""Library chatter that would tear progress bars apart or bury our own messages."""

import logging
import warnings


def quiet_libraries() -> None:
    """Silence what LeRobot, libav and others say about every file; their errors still show."""
    # LeRobot reports at length that torchcodec finds no FFmpeg; PyAV, which brings its own, decodes as well.
    logging.getLogger("lerobot.utils.import_utils").setLevel(logging.ERROR)
    logging.getLogger("lerobot").setLevel(logging.ERROR)
    logging.getLogger("libav").setLevel(logging.CRITICAL)
    logging.getLogger("httpx").setLevel(logging.WARNING)
    for library in ("lightning", "lightning.pytorch", "lightning.fabric", "lightning_utilities"):
        logging.getLogger(library).setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", category=FutureWarning, module=r"(lerobot|transformers|torchvision|datasets)")
