"""Word pieces: loading a tokenizer, and the way back from pieces to code points of the text."""

from __future__ import annotations

import unicodedata
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from comention.errors import AnnotatorError

if TYPE_CHECKING:
    from tokenizers import Encoding, Tokenizer

_CONTINUES = "##"


def load_tokenizer(path: Path) -> Tokenizer:
    """Load a WordPiece tokenizer that neither truncates nor pads, and takes ``[SEP]`` in a text for text.

    Raises:
        AnnotatorError: the file cannot be read, or is no WordPiece tokenizer with [CLS] and [SEP].
    """
    from tokenizers import Tokenizer
    from tokenizers.models import WordPiece

    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises bare Exception
        raise AnnotatorError(f"the tokenizer {path} cannot be read: {error}") from error
    model = tokenizer.model
    if not isinstance(model, WordPiece) or model.continuing_subword_prefix != _CONTINUES:
        raise AnnotatorError(f"the tokenizer {path} is not WordPiece with {_CONTINUES}, the only kind that is known")
    if tokenizer.token_to_id("[CLS]") is None or tokenizer.token_to_id("[SEP]") is None:
        raise AnnotatorError(f"the tokenizer {path} has no [CLS] or no [SEP]")
    tokenizer.no_truncation()
    tokenizer.no_padding()
    tokenizer.encode_special_tokens = True
    return tokenizer


def special_ids(tokenizer: Tokenizer) -> tuple[int, int]:
    """Return the ids of [CLS] and [SEP]."""
    cls, sep = tokenizer.token_to_id("[CLS]"), tokenizer.token_to_id("[SEP]")
    if cls is None or sep is None:  # load_tokenizer has checked it
        raise AnnotatorError("the tokenizer has no [CLS] or no [SEP]")
    return cls, sep


def word_starts(tokenizer: Tokenizer) -> NDArray[np.bool_]:
    """Return a mask over the vocabulary: which pieces begin a word."""
    vocabulary = tokenizer.get_vocab(with_added_tokens=True)
    starts = np.ones(max(vocabulary.values()) + 1, dtype=bool)
    starts[[index for piece, index in vocabulary.items() if piece.startswith(_CONTINUES) and piece != _CONTINUES]] = (
        False
    )
    return starts


def word_bounds(text: str, encoding: Encoding, starts: NDArray[np.bool_]) -> tuple[list[int], list[int]]:
    """Return where each word of a tokenised text starts and ends, in code points.

    ``starts`` masks the pieces that begin a word. A word ends after the combining marks that follow it, which a
    normaliser drops.
    """
    offsets = encoding.offsets
    firsts = np.flatnonzero(starts).tolist()
    lasts = [first - 1 for first in firsts[1:]] + [len(offsets) - 1]
    return [offsets[first][0] for first in firsts], [_with_marks(text, offsets[last][1]) for last in lasts]


def _with_marks(text: str, end: int) -> int:
    while end < len(text) and unicodedata.combining(text[end]):
        end += 1
    return end
