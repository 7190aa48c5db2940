"""Word pieces: loading a WordPiece tokenizer, and which of its pieces begin words."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from comention.errors import AnnotatorError

if TYPE_CHECKING:
    from tokenizers import Tokenizer

_CONTINUES = "##"


def load_tokenizer(path: Path) -> Tokenizer:
    """Load a WordPiece tokenizer that neither truncates nor pads, and takes ``[SEP]`` in a text for text.

    Raises:
        AnnotatorError: the file cannot be read, or is no WordPiece tokenizer with [CLS] and [SEP].
    """
    from tokenizers import Tokenizer

    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises bare Exception
        raise AnnotatorError(f"the tokenizer {path} cannot be read: {error}") from error
    if not is_word_piece(tokenizer):
        raise AnnotatorError(f"the tokenizer {path} is not WordPiece with {_CONTINUES}, the only kind that is known")
    if tokenizer.token_to_id("[CLS]") is None or tokenizer.token_to_id("[SEP]") is None:
        raise AnnotatorError(f"the tokenizer {path} has no [CLS] or no [SEP]")
    return read_whole_texts(tokenizer)


def is_word_piece(tokenizer: Tokenizer) -> bool:
    """Tell whether a tokenizer is WordPiece as BERT has it."""
    from tokenizers.models import WordPiece

    model = tokenizer.model
    return isinstance(model, WordPiece) and model.continuing_subword_prefix == _CONTINUES


def read_whole_texts(tokenizer: Tokenizer) -> Tokenizer:
    """Let a tokenizer neither truncate nor pad, and take ``[SEP]`` in a text for text."""
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
