"""What the machine offers: the device, the fastest number format on it, and how many cores this process may use."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Protocol

from comention.errors import AnnotatorError

if TYPE_CHECKING:
    import torch

_FIRST_WITH_BF16 = 8
"""The compute capability from which NVIDIA's processors multiply bf16 matrices in hardware (Ampere)."""


class ComputeSettings(Protocol):
    """What of the settings says how to compute; :class:`comention.settings.AnnotateSettings` is one."""

    @property
    def device(self) -> str:
        """``auto``, ``cpu``, ``cuda`` or ``cuda:N``."""
        ...

    @property
    def precision(self) -> str:
        """``auto``, ``int8``, ``bf16`` or ``fp32``."""
        ...

    @property
    def threads(self) -> int | None:
        """How many threads compute on the CPU; None: one a core."""
        ...

    @property
    def batch_tokens(self) -> int | None:
        """How many pieces one forward pass takes; None: as suits the device and the model."""
        ...


def has_fast_bf16() -> bool:
    """Tell whether this processor multiplies bf16 matrices in hardware: AMX or AVX512_BF16."""
    import torch

    return has_amx() or bool(torch.cpu.get_capabilities().get("avx512_bf16"))


def has_amx() -> bool:
    """Tell whether this processor multiplies tiles of bf16, several times as fast as AVX-512 multiplies bytes."""
    import torch

    return bool(torch.cpu.get_capabilities().get("amx_bf16"))


def resolve_device(device: str) -> torch.device:
    """Return the device for ``"auto"``, ``"cpu"``, ``"cuda"`` or ``"cuda:N"``; ``auto`` takes a GPU where there is one.

    Looks before it touches: where NVML answers, counting the GPUs initialises nothing, so a process may still fork
    afterwards.

    Raises:
        AnnotatorError: a GPU is asked for and there is none of that number.
    """
    import torch

    if device == "cpu":
        return torch.device("cpu")
    present = torch.cuda.device_count() if torch.version.cuda or torch.version.hip else 0
    if device == "auto":
        return torch.device("cuda", 0) if present else torch.device("cpu")
    index = int(device.partition(":")[2] or 0)
    if index >= present:
        seen = f"sees {present} GPUs" if torch.version.cuda or torch.version.hip else "is built for the CPU alone"
        raise AnnotatorError(
            f"there is no device {device}: torch {torch.__version__} {seen}; "
            "set COMENTION_ANNOTATE__DEVICE to cpu or auto"
        )
    return torch.device("cuda", index)


def resolve_precision(precision: str, device: torch.device) -> torch.dtype:
    """Return the number format for ``"auto"``, ``"bf16"`` or ``"fp32"`` on a device; int8 is looked at before.

    ``auto`` takes bf16 where the device multiplies it in hardware and fp32 elsewhere; fp16, whose range a model may
    leave, is never taken.
    """
    import torch

    if precision == "auto":
        on_gpu = device.type == "cuda"
        fast = torch.cuda.get_device_capability(device)[0] >= _FIRST_WITH_BF16 if on_gpu else has_fast_bf16()
        return torch.bfloat16 if fast else torch.float32
    return torch.bfloat16 if precision == "bf16" else torch.float32


def usable_cores() -> int:
    """Return how many cores this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
