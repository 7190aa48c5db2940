"""The weights of a model folder: in one file or several, safetensors or (where it is allowed) pickled, fp32 or int8."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from comention.errors import AnnotatorError

if TYPE_CHECKING:
    from torch import Tensor

WEIGHTS, WEIGHTS_INDEX, PICKLED_WEIGHTS = "model.safetensors", "model.safetensors.index.json", "pytorch_model.bin"
SCALE = ".scale"


def weight_files(path: Path, *, allow_pickle: bool) -> list[Path]:
    """Return the files that hold the weights; none where there are none that may be read.

    Raises:
        AnnotatorError: the index of the files is broken, or names one that is missing.
    """
    if (path / WEIGHTS).is_file():
        return [path / WEIGHTS]
    index = path / WEIGHTS_INDEX
    if index.is_file():
        try:
            names = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
        except (ValueError, KeyError, AttributeError, TypeError) as error:
            raise AnnotatorError(f"{index} is not an index of weights: {error}") from error
        missing = [name for name in names if not (path / name).is_file()]
        if missing:
            raise AnnotatorError(f"the model folder {path} has no {missing[0]}, which {WEIGHTS_INDEX} names")
        return [path / name for name in names]
    return [path / PICKLED_WEIGHTS] if allow_pickle and (path / PICKLED_WEIGHTS).is_file() else []


def are_stored_as_int8(folder: Path) -> bool:
    """Tell whether the matrices of a model folder are stored as int8 with a scale for each row."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(folder / WEIGHTS, framework="np") as stored:
            names: list[str] = stored.keys()
    except (OSError, SafetensorError):  # whoever reads the weights says what is wrong
        return False
    return any(name.endswith(SCALE) for name in names)


def load_weights(folder: Path, *, allow_pickle: bool = False) -> dict[str, Tensor]:
    """Load the weights of a model folder as fp32 tensors by name, int8 rows multiplied by their scale.

    Raises:
        AnnotatorError: a file is missing or cannot be read.
    """
    import torch

    paths = weight_files(folder, allow_pickle=allow_pickle)
    if not paths:
        raise AnnotatorError(f"the model folder {folder} has no {WEIGHTS}")
    stored = {_modern_name(name): tensor for path in paths for name, tensor in _load_tensors(path).items()}
    for name, tensor in stored.items():
        if tensor.dtype == torch.int8 and name + SCALE not in stored:
            raise AnnotatorError(
                f"the weights in {folder} have {name} as int8 without {name + SCALE}: unpack them first"
            )
    return {
        name: tensor.float() * stored[name + SCALE][:, None] if tensor.dtype == torch.int8 else tensor.float()
        for name, tensor in stored.items()
        if not name.endswith(SCALE) and tensor.dtype != torch.int64
    }


def _load_tensors(path: Path) -> dict[str, Tensor]:
    import pickle

    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        if path.name == PICKLED_WEIGHTS:
            return dict(torch.load(path, map_location="cpu", weights_only=True))
        return load_file(path)
    except (OSError, SafetensorError, pickle.UnpicklingError, EOFError) as error:
        raise AnnotatorError(f"the weights {path} cannot be read: {error}") from error


def _modern_name(name: str) -> str:
    """Return a tensor's name as it is today: models converted from TensorFlow say gamma and beta."""
    stem, _, last = name.rpartition(".")
    if stem.endswith("LayerNorm"):
        last = {"gamma": "weight", "beta": "bias"}.get(last, last)
    return f"{stem}.{last}" if stem else last


def quantise(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the weights with every matrix as int8 and one fp32 scale a row, symmetric around zero."""
    import torch

    stored: dict[str, Tensor] = {}
    for name, tensor in weights.items():
        if tensor.dim() != 2:
            stored[name] = tensor.float().contiguous()
            continue
        scale = tensor.abs().amax(dim=1).clamp_min(1e-12) / 127
        stored[name] = torch.round(tensor / scale[:, None]).clamp(-127, 127).to(torch.int8)
        stored[name + SCALE] = scale.float()
    return stored
