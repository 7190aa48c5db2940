"""What the processor offers: the fastest number format, and how many cores this process may use."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def has_fast_bf16() -> bool:
    """Tell whether this processor multiplies bf16 matrices in hardware: AMX or AVX512_BF16."""
    import torch

    capabilities = torch.cpu.get_capabilities()
    return bool(capabilities.get("amx_bf16") or capabilities.get("avx512_bf16"))


def resolve_precision(precision: str) -> torch.dtype:
    """Return the number format for ``"auto"``, ``"bf16"`` or ``"fp32"``."""
    import torch

    bf16 = precision == "bf16" or (precision == "auto" and has_fast_bf16())
    return torch.bfloat16 if bf16 else torch.float32


def usable_cores() -> int:
    """Return how many cores this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
