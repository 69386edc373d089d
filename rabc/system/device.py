"""What `auto` stands for on this machine: device, training precision, scorer precision."""

from typing import Any

import torch

from rabc.system.errors import InputError


def resolve_device(device: str) -> str:
    """The torch device that `device` (auto, cpu, cuda, mps) stands for on this machine.

    Raises:
        InputError: the device was asked for by name and is not there.
    """
    available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if device == "auto":
        return next(name for name, there in available.items() if there)
    if not available.get(device, False):
        there = ", ".join(name for name, is_there in available.items() if is_there)
        raise InputError(f"device {device}: not available here; use one of: {there}, auto")
    return device


def resolve_precision(precision: str, device: str) -> Any:
    """The Lightning precision that `precision` (auto, 32-true, bf16-mixed) stands for on a device.

    bfloat16 is 1.5 times as fast where the processor computes in it, and many times slower where it is
    emulated, as it is where torch was told to leave AVX-512 alone.
    """
    if precision != "auto":
        return precision
    native = {
        "cuda": torch.cuda.is_available() and torch.cuda.is_bf16_supported(including_emulation=False),
        "cpu": torch.cpu._is_avx512_bf16_supported()  # pyright: ignore[reportPrivateUsage]
        and torch.backends.cpu.get_cpu_capability() == "AVX512",
    }
    return "bf16-mixed" if native.get(device, False) else "32-true"


def resolve_dtype(dtype: str, device: str) -> str:
    """The scorer's precision that `dtype` (auto, float32, bfloat16) stands for on a device."""
    if dtype != "auto":
        return dtype
    return "float32" if torch.device(device).type == "cpu" else "bfloat16"
