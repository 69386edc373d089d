"""Loads a video-language model and its processor, and says in one line what is wrong when that fails."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rabc.system.device import resolve_dtype
from rabc.system.errors import InputError
from rabc.system.hashing import folder_hash
from rabc.system.hub import is_hub_id
from rabc.system.quiet import never_asks
from rabc.system.shipped import here_or_shipped

TOKENIZER_FILES = ("tokenizer.json", "vocab.json")
PROCESSOR_FILES = ("processor_config.json", "preprocessor_config.json", "video_preprocessor_config.json")
QWEN3_VL = ("qwen3_vl", "qwen3_vl_moe")
DTYPES = ("float32", "bfloat16")


@dataclass(frozen=True)
class Loaded:
    """A model ready to judge."""

    model: Any
    processor: Any
    name: str
    revision: str


def load(name: str, revision: str | None, device: str, dtype: str) -> Loaded:
    """Loads folder or hub id `name`; see `TOPReward.from_pretrained`."""
    if dtype not in (*DTYPES, "auto"):
        raise InputError(f"scorer.dtype {dtype}: is unknown; use auto, float32 or bfloat16")
    chosen = resolve_dtype(dtype, device)
    check_model(name)
    name = here_or_shipped(name)
    folder = Path(name)
    processor, model = _from_pretrained(name, revision, chosen)
    if folder.is_dir():
        return Loaded(model.to(device), processor, folder.resolve().name, folder_hash(folder))
    commit = getattr(model.config, "_commit_hash", None)
    if commit is None:
        raise InputError(f"scorer {name}: the hub names no commit for it; download it and give the folder")
    return Loaded(model.to(device), processor, name, commit)


def is_qwen3_vl(model: Any) -> bool:
    """Whether it is Qwen3-VL or its mixture of experts, whose prefixes can share their forwards."""
    return model.config.model_type in QWEN3_VL


def check_model(name: str) -> None:
    """Refuses a missing or incomplete folder (InputError), loading nothing; does not ask the hub for ids."""
    folder = Path(here_or_shipped(name))
    if folder.is_dir():
        _check_folder(folder)
    elif not is_hub_id(name):
        raise InputError(f"scorer {name}: no such folder; check the path, or give a hub id")


def special_words(name: str) -> list[str]:
    """Pieces of text that the tokenizer of a model folder reads as commands; none of a model on the hub."""
    path = Path(here_or_shipped(name)) / "tokenizer.json"
    try:
        added = json.loads(path.read_text())["added_tokens"] if path.is_file() else []
        return sorted(str(token["content"]) for token in added if token["special"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return []  # loading it will say what is wrong


def _from_pretrained(name: str, revision: str | None, dtype: str) -> tuple[Any, Any]:
    import torch
    from huggingface_hub.errors import StrictDataclassError
    from safetensors import SafetensorError
    from transformers import AutoConfig, AutoModelForImageTextToText, AutoProcessor
    from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES as KNOWN

    never_asks()
    safe: dict[str, Any] = {"revision": revision or "main", "trust_remote_code": False}
    try:
        kind = AutoConfig.from_pretrained(name, **safe).model_type
        if kind not in KNOWN:
            raise InputError(f"scorer {name}: is a {kind}, not a video-language model; use e.g. a Qwen3-VL")
        processor: Any = AutoProcessor.from_pretrained(name, **safe)
        if getattr(processor, "video_processor", None) is None:
            raise InputError(
                f"scorer {name}: has no video processor, so it cannot watch videos; use e.g. a Qwen3-VL, or "
                "add the model's processor files"
            )
        auto: Any = AutoModelForImageTextToText
        model, report = auto.from_pretrained(
            name, dtype=getattr(torch, dtype), use_safetensors=True, output_loading_info=True,
            ignore_mismatched_sizes=True, **safe,  # they are counted below
        )  # fmt: skip
    # What transformers raises for unreadable, incomplete or foreign files and for an unreachable hub.
    except (
        OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError, SafetensorError,
        StrictDataclassError,
    ) as error:  # fmt: skip
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise InputError(
            f"scorer {name}: cannot be loaded ({reason}); check the folder or the hub id"
        ) from error
    absent = [*report["missing_keys"], *report["mismatched_keys"]]
    if absent:
        # transformers fills them with random numbers and only warns.
        raise InputError(
            f"scorer {name}: {len(absent)} of its weights are missing or misshapen; copy it again"
        )
    model.eval()
    model.requires_grad_(False)
    return processor, model


def _check_folder(folder: Path) -> None:
    needs = {
        "config.json": ("config.json",),
        "tokenizer (tokenizer.json)": TOKENIZER_FILES,
        "processor (processor_config.json)": PROCESSOR_FILES,
    }
    for what, names in needs.items():
        if not any((folder / name).is_file() for name in names):
            raise InputError(f"scorer {folder}: has no {what}; copy the complete model folder")
    if not list(folder.glob("*.safetensors")):
        raise InputError(f"scorer {folder}: has no *.safetensors weights; copy the complete model folder")
