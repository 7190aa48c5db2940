"""Loading the weights of a model folder into the forward pass that runs them."""

from __future__ import annotations

from typing import NamedTuple

import torch

from annotate.close_calls import CloseCalls
from annotate.cuda_encoder import CudaEncoder
from annotate.encoder import PackedEncoder
from annotate.folder import ModelFolder, TaggerFolder, TransformersFolder
from annotate.forward import Encoder
from annotate.int8_encoder import Int8Encoder, int8_obstacle
from annotate.precision import ComputeSettings, has_amx, resolve_device, resolve_precision, usable_cores
from annotate.weights import are_stored_as_int8, load_weights
from comention.errors import AnnotatorError

CLOSE_TILE = 64
"""Rows of one matrix product where close calls are decided anew: a few sentences at a time."""


class Loaded(NamedTuple):
    """An encoder, and how many pieces a window may have, special ones included; ``computes`` says in words how it computes."""

    encoder: Encoder
    most_pieces: int
    computes: str


def load_encoder(folder: TaggerFolder, settings: ComputeSettings, pieces: int) -> Loaded:
    """Load the weights of a model folder, whose tokenizer has ``pieces`` pieces, onto the device that the settings name.

    Raises:
        AnnotatorError: the device is not there, the weights cannot be used, or there is not enough memory for them.
    """
    device = resolve_device(settings.device)
    obstacle = _int8_obstacle(folder, device)
    in_int8 = _runs_in_int8(folder, settings.precision, obstacle)
    threads = settings.threads or usable_cores()
    try:
        if in_int8:
            return _load_int8(folder, threads, pieces)
        loaded = _load(folder, device, resolve_precision(settings.precision, device), threads, pieces)
        is_bert = isinstance(folder, ModelFolder) and device.type == "cpu"
        meant = is_bert and settings.precision == "auto" and (are_stored_as_int8(folder.path) or not has_amx())
        return loaded._replace(computes=f"{loaded.computes}; not in int8: {obstacle}") if meant else loaded
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


def _int8_obstacle(folder: TaggerFolder, device: torch.device) -> str | None:
    """Return why a folder cannot be run in int8 on a device, or None."""
    if device.type != "cpu":
        return f"int8 is for the CPU, and the device is {device}"
    if not isinstance(folder, ModelFolder):
        return "int8 is for BERT models"
    return int8_obstacle(folder.shape)


def _runs_in_int8(folder: TaggerFolder, precision: str, obstacle: str | None) -> bool:
    """Tell whether an encoder runs in int8: where that is set, or where it can and nothing faster is as exact.

    Raises:
        AnnotatorError: it is set and cannot be.
    """
    if precision == "int8" and obstacle is not None:
        raise AnnotatorError(
            f"{folder.path} cannot run in int8: {obstacle}; else set COMENTION_ANNOTATE__PRECISION to auto"
        )
    if precision not in ("auto", "int8") or obstacle is not None:
        return False
    return precision == "int8" or are_stored_as_int8(folder.path) or not has_amx()


def _in_words(number_format: str, device: torch.device, threads: int) -> str:
    lanes = "" if device.type == "cuda" else f", {threads} thread{'s' * (threads != 1)}"
    return f"{number_format} on {device}{lanes}"


def _load(folder: TaggerFolder, device: torch.device, dtype: torch.dtype, threads: int, pieces: int) -> Loaded:
    computes = _in_words("bf16" if dtype is torch.bfloat16 else "fp32", device, threads)
    if isinstance(folder, TransformersFolder):
        from annotate.any_encoder import AnyEncoder  # transformers: only where it is needed

        encoder = AnyEncoder(folder, dtype, device, threads=threads)
        _check_vocabulary(folder, pieces, encoder.vocabulary)
        return Loaded(encoder, min(folder.max_pieces, encoder.most_positions or folder.max_pieces), computes)
    known, weights = _load_bert(folder, pieces)
    heads = known.deciding_heads
    if device.type == "cpu":
        return Loaded(PackedEncoder(known, weights, heads, dtype, threads=threads), known.max_pieces, computes)
    return Loaded(CudaEncoder(known, weights, heads, dtype, device), known.max_pieces, computes)


def _load_int8(folder: TaggerFolder, threads: int, pieces: int) -> Loaded:
    known, weights = _load_bert(folder, pieces)
    heads = known.deciding_heads
    encoder: Encoder = Int8Encoder(known, weights, heads, threads=threads)
    number_format = "int8"
    if not are_stored_as_int8(folder.path):  # rounding the weights costs about as many mentions as rounding the rows
        fine = PackedEncoder(known, weights, heads, torch.float32, threads=threads, tile=CLOSE_TILE)
        encoder = CloseCalls(encoder, fine, [len(head.tags) for head in heads])
        number_format = "int8, close calls in fp32,"
    return Loaded(encoder, known.max_pieces, _in_words(number_format, torch.device("cpu"), threads))


def _load_bert(folder: TaggerFolder, pieces: int) -> tuple[ModelFolder, dict[str, torch.Tensor]]:
    """Load the weights of a BERT folder and check that they fit."""
    if not isinstance(folder, ModelFolder):
        raise AnnotatorError(f"the model folder {folder.path} is of a kind that cannot be run")
    _check_vocabulary(folder, pieces, folder.shape.vocabulary)
    weights = load_weights(folder.path, allow_pickle=folder.pickled)
    for head in folder.deciding_heads:
        outputs = len(weights[f"{head.prefix}.weight"])
        if outputs != len(head.tags):
            raise AnnotatorError(f"the weights in {folder.path} give {outputs} outputs for {len(head.tags)} labels")
    return folder, weights


def _check_vocabulary(folder: TaggerFolder, pieces: int, known: int) -> None:
    if pieces > known:
        raise AnnotatorError(f"the tokenizer in {folder.path} has {pieces} pieces, but the weights only {known}")
