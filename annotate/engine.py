"""The annotator that runs a model folder: tokenise, window, encode, decode, put back in order.

A call is worked off in portions, and portions overlap: while one is in its forward pass, the next is tokenised and the
last one decoded.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from annotate.cuda_encoder import CudaEncoder
from annotate.decode import HeadsDecoder, WordSpan
from annotate.folder import TaggerFolder
from annotate.forward import ForwardPass, Run
from annotate.loading import load_encoder
from annotate.precision import ComputeSettings
from annotate.windows import pack_windows
from annotate.words import open_words, word_bounds
from comention.errors import AnnotatorError
from comention.types import AnnotationStatus, AnnotatorInfo, Mention, SentenceAnnotation

if TYPE_CHECKING:
    from tokenizers import Encoding

VERSION = 1
"""Changes with whatever changes the mentions or scores that a model folder gives: the forward pass, windows, decoding."""

SENTENCES_AT_ONCE = 2048
"""How many sentences are held as pieces in one portion."""

PORTIONS_AT_ONCE = 3
"""How many portions are under way together: one each in tokenising, forward pass and decoding."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Tokens:
    """A portion as pieces: ``ids`` of all sentences, sentence i from ``bounds[i]``; ``starts`` masks word beginnings."""

    encodings: Sequence[Encoding]
    ids: NDArray[np.int64]
    bounds: NDArray[np.int64]
    starts: NDArray[np.bool_]
    failures: Mapping[int, str]


class BertAnnotator:
    """An annotator over a model folder, ours or Hugging Face's of any architecture. Thread-safe.

    Of a BERT folder a sentence gets, on the CPU, the same mentions with the same scores whatever sentences stand beside
    it and however many threads work; on a GPU the last bits may differ (:mod:`annotate.cuda_encoder`). The threads live
    as long as one call; each computes alone, which sets torch's own number of threads to one.
    """

    def __init__(self, folder: TaggerFolder, settings: ComputeSettings, *, name: str, model: str) -> None:
        """Load the weights onto the device.

        Raises:
            AnnotatorError: the folder's files cannot be used, the device is not there, or there is not enough memory.
        """
        self._words = open_words(folder.path)
        self._tokenizer = self._words.tokenizer
        self._special = self._words.before, self._words.behind
        heads = folder.deciding_heads
        self._tags = sum(len(head.tags) for head in heads)
        self._decoder = HeadsDecoder([head.tag_set for head in heads], [folder.labels_of(head) for head in heads])
        pieces = max(self._tokenizer.get_vocab(with_added_tokens=True).values()) + 1
        self._encoder, most_pieces = load_encoder(folder, settings, pieces)
        self._window = most_pieces - sum(map(len, self._special))
        self._forward = ForwardPass(self._encoder, settings.batch_tokens)
        self._process = os.getpid()
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
        """Annotate a batch: positional, one result for each sentence; see :class:`comention.types.Annotator`.

        Raises:
            AnnotatorError: the GPU has failed, or this process was forked from the one that loaded the annotator onto it.
        """
        if isinstance(self._encoder, CudaEncoder) and os.getpid() != self._process:
            raise AnnotatorError(f"{self._info.name} was loaded onto a GPU before a fork: load it in the child process")
        portions = [
            sentences[start : start + SENTENCES_AT_ONCE] for start in range(0, len(sentences), SENTENCES_AT_ONCE)
        ]
        with self._forward.started() as run:
            if len(portions) < 2:
                return [result for portion in portions for result in self._annotate_portion(portion, run)]
            with ThreadPoolExecutor(PORTIONS_AT_ONCE, "annotate-portion") as pool:
                done = pool.map(self._annotate_portion, portions, itertools.repeat(run))
                return [result for results in done for result in results]

    def _annotate_portion(self, sentences: Sequence[str], run: Run) -> list[SentenceAnnotation]:
        tokens = self._tokenise(sentences)
        windows = pack_windows(tokens.ids, tokens.bounds, tokens.starts, size=self._window, special=self._special)
        logits = np.zeros((np.count_nonzero(tokens.starts), self._tags), dtype=np.float32)
        failures = {**tokens.failures, **run(windows, logits)}
        return self._decode(sentences, tokens, logits, failures)

    def _tokenise(self, sentences: Sequence[str]) -> _Tokens:
        """Tokenise; a sentence that the tokenizer refuses becomes an empty one, with its reason."""
        failures: dict[int, str] = {}
        try:
            encodings = self._tokenizer.encode_batch(list(sentences), add_special_tokens=False)
        except (TypeError, UnicodeError):  # one of them is to blame: find it
            empty = self._tokenizer.encode("", add_special_tokens=False)
            encodings = []
            for index, sentence in enumerate(sentences):
                try:
                    encodings.append(self._tokenizer.encode(sentence, add_special_tokens=False))
                except (TypeError, UnicodeError) as error:
                    encodings.append(empty)
                    failures[index] = f"the text is not valid Unicode: {error}"
        bounds = np.cumsum([0, *map(len, encodings)])
        every = itertools.chain.from_iterable(encoding.ids for encoding in encodings)
        ids = np.fromiter(every, dtype=np.int64, count=int(bounds[-1]))
        starts = self._words.starts(sentences, encodings, ids)  # a sentence that failed has no pieces
        return _Tokens(encodings=encodings, ids=ids, bounds=bounds, starts=starts, failures=failures)

    def _decode(
        self, sentences: Sequence[str], tokens: _Tokens, logits: NDArray[np.float32], failures: Mapping[int, str]
    ) -> list[SentenceAnnotation]:
        """Turn the logits of the portion's words, [words, tags], into one result for each sentence."""
        words_before = np.concatenate([[0], np.cumsum(tokens.starts)])
        found = self._decoder.decode(logits, words_before[tokens.bounds])
        nothing = SentenceAnnotation()
        results = []
        for index, spans in enumerate(found):
            if index in failures:
                results.append(SentenceAnnotation(status=AnnotationStatus.FAILED, detail=failures[index]))
            elif spans:
                pieces = slice(tokens.bounds[index], tokens.bounds[index + 1])
                at, until = word_bounds(sentences[index], tokens.encodings[index], tokens.starts[pieces])
                results.append(SentenceAnnotation(mentions=_mentions(spans, at, until)))
            else:
                results.append(nothing)
        return results


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
