"""Loads a Qwen3-VL and its processor, and says in one line what is wrong when that fails."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from rabc.errors import InputError
from rabc.hub import is_hub_id

if TYPE_CHECKING:
    from transformers import Qwen3VLForConditionalGeneration
    from transformers.models.qwen3_vl import Qwen3VLProcessor

TOKENIZER_FILES = ("tokenizer.json", "vocab.json")
PROCESSOR_FILES = ("processor_config.json", "preprocessor_config.json", "video_preprocessor_config.json")
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


@dataclass(frozen=True)
class Loaded:
    """A model ready to judge."""

    model: "Qwen3VLForConditionalGeneration"
    processor: "Qwen3VLProcessor"
    name: str
    revision: str


def load(name: str, revision: str | None, device: str, dtype: str) -> Loaded:
    """Loads folder or hub id `name`; see `TOPReward.from_pretrained`."""
    if dtype not in (*DTYPES, "auto"):
        raise InputError(f"scorer.dtype {dtype}: is unknown; use auto, float32 or bfloat16")
    chosen = ("float32" if torch.device(device).type == "cpu" else "bfloat16") if dtype == "auto" else dtype
    check_model(name)
    folder = Path(name)
    processor, model = _from_pretrained(name, revision, chosen)
    if folder.is_dir():
        return Loaded(model.to(device), processor, folder.resolve().name, folder_hash(folder))
    commit = getattr(model.config, "_commit_hash", None)
    if commit is None:
        raise InputError(f"scorer {name}: the hub names no commit for it; download it and give the folder")
    return Loaded(model.to(device), processor, name, commit)


def check_model(name: str) -> None:
    """Refuses a missing or incomplete folder (InputError), loading nothing; does not ask the hub for ids."""
    folder = Path(name)
    if folder.is_dir():
        _check_folder(folder)
    elif not is_hub_id(name):
        raise InputError(f"scorer {name}: no such folder; check the path, or give a hub id")


def _from_pretrained(name: str, revision: str | None, dtype: str) -> tuple[Any, Any]:
    from safetensors import SafetensorError
    from transformers import AutoConfig, AutoModelForImageTextToText, AutoProcessor
    from transformers.models.qwen3_vl import Qwen3VLVideoProcessor

    safe: dict[str, Any] = {"revision": revision or "main", "trust_remote_code": False}
    try:
        kind = AutoConfig.from_pretrained(name, **safe).model_type
        if not str(kind).startswith("qwen3_vl"):
            raise InputError(
                f"scorer {name}: is a {kind}; a video-language model of the Qwen3-VL family is needed"
            )
        processor: Any = AutoProcessor.from_pretrained(name, **safe)
        if not isinstance(getattr(processor, "video_processor", None), Qwen3VLVideoProcessor):
            raise InputError(f"scorer {name}: has no Qwen3-VL video processor; add its processor files")
        auto: Any = AutoModelForImageTextToText
        model, report = auto.from_pretrained(
            name, dtype=DTYPES[dtype], use_safetensors=True, output_loading_info=True, **safe
        )
    # What transformers raises for unreadable, incomplete or foreign files and for an unreachable hub.
    except (OSError, ValueError, KeyError, SafetensorError) as error:
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


def folder_hash(folder: Path) -> str:
    """SHA-256 of everything in a model folder that scores can depend on."""
    digest = hashlib.sha256()
    # A model card or a picture in the folder does not change the scores.
    for path in sorted(
        p for p in folder.iterdir() if p.suffix in (".json", ".safetensors", ".jinja", ".txt")
    ):
        with path.open("rb") as file:
            digest.update(path.name.encode() + b"\0" + hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()
