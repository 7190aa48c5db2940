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

from annotate.decode import HeadsDecoder, WordSpan
from annotate.encoder import TILE
from annotate.folder import TaggerFolder
from annotate.loading import load_encoder
from annotate.precision import resolve_precision, usable_cores
from annotate.windows import Window, cut_windows, group_windows
from annotate.words import open_words, word_bounds
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
    """An annotator over a model folder, ours or Hugging Face's of any architecture. Thread-safe.

    Of a BERT folder a sentence gets the same mentions with the same scores whatever sentences stand beside it and however
    many threads work. The threads live as long as one call; each computes alone, which sets torch's own number of threads
    to one.
    """

    def __init__(self, folder: TaggerFolder, settings: AnnotateSettings, *, name: str, model: str) -> None:
        """Load the weights and pack them.

        Raises:
            AnnotatorError: the folder's files cannot be used, or there is not enough memory for them.
        """
        dtype = resolve_precision(settings.precision)
        self._threads = settings.threads or usable_cores()
        self._words = open_words(folder.path)
        self._tokenizer = self._words.tokenizer
        self._special = self._words.before, self._words.behind
        heads = folder.deciding_heads
        self._tags = sum(len(head.tags) for head in heads)
        self._decoder = HeadsDecoder([head.tag_set for head in heads], [folder.labels_of(head) for head in heads])
        pieces = max(self._tokenizer.get_vocab(with_added_tokens=True).values()) + 1
        self._encoder, most_pieces = load_encoder(folder, dtype, pieces)
        self._window = most_pieces - sum(map(len, self._special))
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
        # A sentence that failed has no pieces.
        starts = [self._words.starts(text, encoding) for text, encoding in zip(sentences, encodings, strict=True)]
        words = np.concatenate([rows[mask] for rows, mask in zip(logits, starts, strict=True)])
        bounds = np.concatenate([[0], np.cumsum([np.count_nonzero(mask) for mask in starts])])
        found = self._decoder.decode(words, bounds)
        results = []
        for index, spans in enumerate(found):
            if index in failures:
                results.append(SentenceAnnotation(status=AnnotationStatus.FAILED, detail=failures[index]))
            elif spans:
                at, until = word_bounds(sentences[index], encodings[index], starts[index])
                results.append(SentenceAnnotation(mentions=_mentions(spans, at, until)))
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
        before, behind = self._special
        try:
            rows = self._encoder.logits(
                [np.array([*before, *pieces[w.sentence][w.start : w.end], *behind]) for w in batch]
            )
        except (RuntimeError, MemoryError) as error:
            if len(batch) == 1:
                return {batch[0].sentence: f"the model cannot encode it: {error}"}
            half = len(batch) // 2
            return self._forward(batch[:half], pieces, logits) | self._forward(batch[half:], pieces, logits)
        first = len(before)
        for window in batch:
            kept = slice(first + window.keep_start - window.start, first + window.keep_end - window.start)
            logits[window.sentence][window.keep_start : window.keep_end] = rows[kept]
            first += window.end - window.start + len(behind) + len(before)
        return {}


def _mentions(spans: Sequence[WordSpan], at: Sequence[int], until: Sequence[int]) -> tuple[Mention, ...]:
    """Return spans of words as mentions in their order, one for each offsets and label."""
    found: dict[tuple[int, int, str], float] = {}
    for span in spans:
        key = (at[span.first], until[span.end - 1], span.label)
        if key[0] < key[1]:  # heads may agree once their labels have one name
            found[key] = max(span.score, found.get(key, 0.0))
    return tuple(
        Mention(start_char=start, end_char=end, label=label, score=found[start, end, label])
        for start, end, label in sorted(found)
    )


def _digest(fields: Mapping[str, object]) -> str:
    return hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()[:16]
