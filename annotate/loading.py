"""Loading the weights of a model folder into the forward pass that runs them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from annotate.encoder import PackedEncoder
from annotate.folder import ModelFolder, TaggerFolder, TransformersFolder, load_weights
from comention.errors import AnnotatorError


class Encoder(Protocol):
    """What computes logits: our own forward pass, or that of transformers."""

    def logits(self, windows: Sequence[NDArray[np.int64]]) -> NDArray[np.float32]:
        """Return the logits, [pieces of all windows in order, tags]; sort the windows by length."""
        ...


class Loaded(NamedTuple):
    """An encoder, and how many pieces a window may have, special ones included."""

    encoder: Encoder
    most_pieces: int


def load_encoder(folder: TaggerFolder, dtype: torch.dtype, pieces: int) -> Loaded:
    """Load the weights of a model folder whose tokenizer has ``pieces`` pieces.

    Raises:
        AnnotatorError: the weights cannot be used, or there is not enough memory for them.
    """
    try:
        return _load(folder, dtype, pieces)
    except KeyError as error:
        raise AnnotatorError(f"the weights in {folder.path} have no tensor {error}") from None
    except (MemoryError, RuntimeError) as error:
        # torch says "not enough memory" or "out of memory", under RuntimeError on a processor.
        if isinstance(error, RuntimeError) and "memory" not in str(error).lower():
            raise AnnotatorError(f"the weights in {folder.path} do not fit its config.json: {error}") from error
        reason = str(error).strip().split("\n")[0] or "the system has none left"
        raise AnnotatorError(
            f"there is not enough memory to load {folder.path}: free some, or take a smaller model ({reason})"
        ) from error


def _load(folder: TaggerFolder, dtype: torch.dtype, pieces: int) -> Loaded:
    if isinstance(folder, TransformersFolder):
        from annotate.any_encoder import AnyEncoder  # transformers: only where it is needed

        encoder = AnyEncoder(folder, dtype)
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
    return Loaded(PackedEncoder(folder, weights, folder.deciding_heads, dtype), folder.max_pieces)


def _check_vocabulary(folder: TaggerFolder, pieces: int, known: int) -> None:
    if pieces > known:
        raise AnnotatorError(f"the tokenizer in {folder.path} has {pieces} pieces, but the weights only {known}")
