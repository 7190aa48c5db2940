"""Loading the weights of a model folder into the forward pass that runs them."""

from __future__ import annotations

from typing import NamedTuple

import torch

from annotate.cuda_encoder import CudaEncoder
from annotate.encoder import PackedEncoder
from annotate.folder import ModelFolder, TaggerFolder, TransformersFolder
from annotate.forward import Encoder
from annotate.precision import ComputeSettings, resolve_device, resolve_precision, usable_cores
from annotate.weights import load_weights
from comention.errors import AnnotatorError


class Loaded(NamedTuple):
    """An encoder, and how many pieces a window may have, special ones included."""

    encoder: Encoder
    most_pieces: int


def load_encoder(folder: TaggerFolder, settings: ComputeSettings, pieces: int) -> Loaded:
    """Load the weights of a model folder, whose tokenizer has ``pieces`` pieces, onto the device that the settings name.

    Raises:
        AnnotatorError: the device is not there, the weights cannot be used, or there is not enough memory for them.
    """
    device = resolve_device(settings.device)
    dtype = resolve_precision(settings.precision, device)
    threads = settings.threads or usable_cores()
    try:
        return _load(folder, device, dtype, threads, pieces)
    except KeyError as error:
        raise AnnotatorError(f"the weights in {folder.path} have no tensor {error}") from None
    except (MemoryError, RuntimeError) as error:
        # torch says "not enough memory" or "out of memory", under RuntimeError on a processor.
        if isinstance(error, RuntimeError) and "memory" not in str(error).lower():
            raise AnnotatorError(f"the weights in {folder.path} do not fit its config.json: {error}") from error
        reason = str(error).strip().split("\n")[0] or "the system has none left"
        raise AnnotatorError(
            f"there is not enough memory on {device} to load {folder.path}: free some, or take a smaller model ({reason})"
        ) from error


def _load(folder: TaggerFolder, device: torch.device, dtype: torch.dtype, threads: int, pieces: int) -> Loaded:
    if isinstance(folder, TransformersFolder):
        from annotate.any_encoder import AnyEncoder  # transformers: only where it is needed

        encoder = AnyEncoder(folder, dtype, device, threads=threads)
        _check_vocabulary(folder, pieces, encoder.vocabulary)
        return Loaded(encoder, min(folder.max_pieces, encoder.most_positions or folder.max_pieces))
    if not isinstance(folder, ModelFolder):
        raise AnnotatorError(f"the model folder {folder.path} is of a kind that cannot be run")
    _check_vocabulary(folder, pieces, folder.shape.vocabulary)
    weights = load_weights(folder.path, allow_pickle=folder.pickled)
    for head in folder.deciding_heads:
        outputs = len(weights[f"{head.prefix}.weight"])
        if outputs != len(head.tags):
            raise AnnotatorError(f"the weights in {folder.path} give {outputs} outputs for {len(head.tags)} labels")
    if device.type == "cpu":
        return Loaded(PackedEncoder(folder, weights, folder.deciding_heads, dtype, threads=threads), folder.max_pieces)
    return Loaded(CudaEncoder(folder, weights, folder.deciding_heads, dtype, device), folder.max_pieces)


def _check_vocabulary(folder: TaggerFolder, pieces: int, known: int) -> None:
    if pieces > known:
        raise AnnotatorError(f"the tokenizer in {folder.path} has {pieces} pieces, but the weights only {known}")
