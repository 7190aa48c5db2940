"""The annotator that runs a model folder: tokenise, window, encode in threads, decode, put back in order."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from annotate.decode import HeadsDecoder
from annotate.encoder import TILE, PackedEncoder
from annotate.folder import SPECIAL_PIECES, TOKENIZER, ModelFolder, load_weights
from annotate.pieces import load_tokenizer, special_ids, word_bounds, word_starts
from annotate.precision import resolve_precision, usable_cores
from annotate.windows import Window, cut_windows, group_windows
from comention.errors import AnnotatorError
from comention.settings import AnnotateSettings
from comention.types import AnnotationStatus, AnnotatorInfo, Mention, SentenceAnnotation

if TYPE_CHECKING:
    from tokenizers import Encoding

VERSION = 1
"""Changes with whatever changes the mentions or scores that a model folder gives: the forward pass, windows, decoding."""

SENTENCES_AT_ONCE = 4096
"""How many sentences are held as pieces at one time; a longer call is worked off in such portions."""

ROWS_AT_ONCE = 4 * TILE
"""How many pieces one forward pass takes together; a single window may be longer."""

_Rows = NDArray[np.float32]


class BertAnnotator:
    """An annotator over a model folder, ours or Hugging Face's. Thread-safe.

    A sentence gets the same mentions with the same scores whatever sentences stand beside it and however many threads
    work. The threads live as long as one call; each computes alone, which sets torch's own number of threads to one.
    """

    def __init__(self, folder: ModelFolder, settings: AnnotateSettings, *, name: str, model: str) -> None:
        """Load the weights and pack them.

        Raises:
            AnnotatorError: the folder's files cannot be used.
        """
        dtype = resolve_precision(settings.precision)
        self._threads = settings.threads or usable_cores()
        self._tokenizer = load_tokenizer(folder.path / TOKENIZER)
        self._special = special_ids(self._tokenizer)
        self._word_starts = word_starts(self._tokenizer)
        self._window = folder.max_pieces - SPECIAL_PIECES
        heads = folder.deciding_heads
        self._tags = sum(len(head.tags) for head in heads)
        self._decoder = HeadsDecoder([head.tags for head in heads], [folder.labels_of(head) for head in heads])
        if len(self._word_starts) > folder.shape.vocabulary:
            raise AnnotatorError(
                f"the tokenizer in {folder.path} has {len(self._word_starts)} pieces, "
                f"but the weights only {folder.shape.vocabulary}"
            )
        try:
            self._encoder = PackedEncoder(folder, load_weights(folder.path), heads, dtype)
        except KeyError as error:
            raise AnnotatorError(f"the weights in {folder.path} have no tensor {error}") from None
        self._info = AnnotatorInfo(
            name=name,
            version=folder.version,
            model=model,
            revision=folder.revision(),
            labels=folder.labels,
            # The precision as it is set: with "auto", machines of different kinds share one annotator over one corpus.
            config_hash=_digest({**folder.config_fields(), "engine": VERSION, "precision": settings.precision}),
        )

    @property
    def info(self) -> AnnotatorInfo:
        """What identifies this annotator."""
        return self._info

    def annotate(self, sentences: Sequence[str]) -> list[SentenceAnnotation]:
        """Annotate a batch: positional, one result for each sentence; see :class:`comention.types.Annotator`."""
        results: list[SentenceAnnotation] = []
        for start in range(0, len(sentences), SENTENCES_AT_ONCE):
            results += self._annotate_portion(sentences[start : start + SENTENCES_AT_ONCE])
        return results

    def _annotate_portion(self, sentences: Sequence[str]) -> list[SentenceAnnotation]:
        encodings, failures = self._tokenise(sentences)
        pieces = [np.array(encoding.ids, dtype=np.int64) for encoding in encodings]
        logits, refused = self._encode(pieces)
        failures |= refused
        starts = [self._word_starts[ids] for ids in pieces]
        words = np.concatenate([rows[mask] for rows, mask in zip(logits, starts, strict=True)])
        bounds = np.concatenate([[0], np.cumsum([np.count_nonzero(mask) for mask in starts])])
        found = self._decoder.decode(words, bounds)
        results = []
        for index, spans in enumerate(found):
            if index in failures:
                results.append(SentenceAnnotation(status=AnnotationStatus.FAILED, detail=failures[index]))
            elif spans:
                at, until = word_bounds(sentences[index], encodings[index], starts[index])
                mentions = [
                    Mention(start_char=at[span.first], end_char=until[span.end - 1], label=span.label, score=span.score)
                    for span in spans
                ]
                mentions.sort(key=lambda mention: (mention.start_char, mention.end_char, mention.label))
                results.append(SentenceAnnotation(mentions=tuple(mentions)))
            else:
                results.append(SentenceAnnotation())
        return results

    def _tokenise(self, sentences: Sequence[str]) -> tuple[list[Encoding], dict[int, str]]:
        """Tokenise; a sentence that the tokenizer refuses becomes an empty one, with its reason."""
        try:
            return self._tokenizer.encode_batch(list(sentences), add_special_tokens=False), {}
        except (TypeError, UnicodeError):
            pass  # one of them is to blame: find it
        empty = self._tokenizer.encode("", add_special_tokens=False)
        encodings, failures = [], {}
        for index, sentence in enumerate(sentences):
            try:
                encodings.append(self._tokenizer.encode(sentence, add_special_tokens=False))
            except (TypeError, UnicodeError) as error:
                encodings.append(empty)
                failures[index] = f"the text is not valid Unicode: {error}"
        return encodings, failures

    def _encode(self, pieces: Sequence[NDArray[np.int64]]) -> tuple[list[_Rows], dict[int, str]]:
        """Return the logits of every sentence, [pieces, tags], and why some could not be computed."""
        windows = [window for index, ids in enumerate(pieces) for window in cut_windows(index, len(ids), self._window)]
        # The longest first, so that no thread is left alone with them at the end.
        windows.sort(key=lambda window: window.rows, reverse=True)
        logits = [np.zeros((len(ids), self._tags), dtype=np.float32) for ids in pieces]
        failures: dict[int, str] = {}
        work = list(group_windows(windows, ROWS_AT_ONCE))
        if not work:
            return logits, failures

        def forward(batch: list[Window]) -> dict[int, str]:
            return self._forward(batch, pieces, logits)

        threads = min(self._threads, len(work))
        with ThreadPoolExecutor(threads, "annotate", initializer=torch.set_num_threads, initargs=(1,)) as pool:
            for refused in pool.map(forward, work):
                failures |= refused
        return logits, failures

    def _forward(
        self, batch: Sequence[Window], pieces: Sequence[NDArray[np.int64]], logits: Sequence[_Rows]
    ) -> dict[int, str]:
        """Encode a batch and write what each window decides into ``logits``; return the sentences torch refused, and
        why.

        A batch that torch refuses is halved, down to the window that is to blame.
        """
        cls, sep = self._special
        try:
            rows = self._encoder.logits([np.array([cls, *pieces[w.sentence][w.start : w.end], sep]) for w in batch])
        except (RuntimeError, MemoryError) as error:
            if len(batch) == 1:
                return {batch[0].sentence: f"the model cannot encode it: {error}"}
            half = len(batch) // 2
            return self._forward(batch[:half], pieces, logits) | self._forward(batch[half:], pieces, logits)
        first = 1  # after [CLS]
        for window in batch:
            kept = slice(first + window.keep_start - window.start, first + window.keep_end - window.start)
            logits[window.sentence][window.keep_start : window.keep_end] = rows[kept]
            first += window.rows
        return {}


def _digest(fields: Mapping[str, object]) -> str:
    return hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()[:16]
