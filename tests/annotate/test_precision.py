from __future__ import annotations

import pytest
import torch

from annotate import precision
from annotate.precision import resolve_device, resolve_precision
from comention.errors import AnnotatorError

CPU = torch.device("cpu")


@pytest.fixture
def gpus(monkeypatch: pytest.MonkeyPatch):
    """Let torch see so many GPUs."""

    def see(count: int) -> None:
        monkeypatch.setattr(torch.version, "cuda", "13.0")
        monkeypatch.setattr(torch.cuda, "device_count", lambda: count)

    return see


def test_auto_takes_a_gpu_where_there_is_one(gpus):
    gpus(0)
    assert resolve_device("auto") == CPU
    gpus(2)
    assert resolve_device("auto") == torch.device("cuda", 0)
    assert resolve_device("cuda") == torch.device("cuda", 0)
    assert resolve_device("cuda:1") == torch.device("cuda", 1)
    assert resolve_device("cpu") == CPU


def test_a_device_that_is_not_there_is_one_sentence(gpus, monkeypatch: pytest.MonkeyPatch):
    gpus(2)
    with pytest.raises(
        AnnotatorError, match=r"no device cuda:2: torch \S+ sees 2 GPUs; set COMENTION_ANNOTATE__DEVICE"
    ):
        resolve_device("cuda:2")
    monkeypatch.setattr(torch.version, "cuda", None)
    monkeypatch.setattr(torch.version, "hip", None)
    with pytest.raises(AnnotatorError, match="is built for the CPU alone"):
        resolve_device("cuda")
    assert resolve_device("auto") == CPU


def test_auto_takes_bf16_where_the_device_multiplies_it(monkeypatch: pytest.MonkeyPatch):
    for fast, expected in ((True, torch.bfloat16), (False, torch.float32)):
        monkeypatch.setattr(precision, "has_fast_bf16", lambda fast=fast: fast)
        assert resolve_precision("auto", CPU) is expected
    gpu = torch.device("cuda", 0)
    for capability, expected in (((9, 0), torch.bfloat16), ((8, 0), torch.bfloat16), ((7, 5), torch.float32)):
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _device, found=capability: found)
        assert resolve_precision("auto", gpu) is expected


def test_what_is_set_is_taken():
    assert resolve_precision("fp32", torch.device("cuda", 0)) is torch.float32
    assert resolve_precision("bf16", CPU) is torch.bfloat16
