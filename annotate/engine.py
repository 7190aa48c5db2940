"""The annotator that runs a model folder: tokenise, window, encode, decode, put back in order.

A call is worked off in portions, and portions overlap: while one is in its forward pass, the next is tokenised and the
last one decoded.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from annotate.cuda_encoder import CudaEncoder
from annotate.decode import HeadsDecoder, WordSpans
from annotate.folder import TaggerFolder
from annotate.forward import ForwardPass, Run
from annotate.loading import load_encoder
from annotate.precision import ComputeSettings
from annotate.windows import pack_windows
from annotate.words import open_words, span_bounds, word_places
from comention.errors import AnnotatorError
from comention.types import AnnotationStatus, AnnotatorInfo, Mention, SentenceAnnotation

if TYPE_CHECKING:
    from tokenizers import Encoding

VERSION = 3
"""Changes with whatever changes the mentions or scores that a model folder gives: the forward pass, windows, decoding."""

SENTENCES_AT_ONCE = 2048
"""How many sentences are held as pieces in one portion at most."""

LEAST_AT_ONCE = 256
"""How many sentences a portion has where a call has more: enough for batches of like length."""

PORTIONS_AT_ONCE = 3
"""How many portions are under way together: one each in tokenising, forward pass and decoding."""

_NOTHING = SentenceAnnotation()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Tokens:
    """A portion as pieces: ``ids`` of all sentences, sentence i from ``bounds[i]``; ``starts`` masks word beginnings."""

    encodings: Sequence[Encoding]
    ids: NDArray[np.int64]
    bounds: NDArray[np.int64]
    starts: NDArray[np.bool_]
    failures: Mapping[int, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class WordLogits:
    """The words of a sentence: ``places`` are the code points at which they start, ascending, ``logits`` [words, tags]."""

    places: NDArray[np.int64]
    logits: NDArray[np.float32]


_NO_WORDS = WordLogits(places=np.zeros(0, dtype=np.int64), logits=np.zeros((0, 0), dtype=np.float32))


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
        self._encoder, most_pieces, self._computes = load_encoder(folder, settings, pieces)
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

    @property
    def computes(self) -> str:
        """The number format, the device and the threads of the forward pass, in words; what ``auto`` came to here."""
        return self._computes

    def annotate(self, sentences: Sequence[str]) -> list[SentenceAnnotation]:
        """Annotate a batch: positional, one result for each sentence; see :class:`comention.types.Annotator`.

        Raises:
            AnnotatorError: the GPU has failed, or this process was forked from the one that loaded the annotator onto it.
        """
        if isinstance(self._encoder, CudaEncoder) and os.getpid() != self._process:
            raise AnnotatorError(f"{self._info.name} was loaded onto a GPU before a fork: load it in the child process")
        size = min(SENTENCES_AT_ONCE, max(LEAST_AT_ONCE, -(-len(sentences) // PORTIONS_AT_ONCE)))
        portions = [sentences[start : start + size] for start in range(0, len(sentences), size)]
        with self._forward.started() as run:
            if len(portions) < 2:
                return [result for portion in portions for result in self._annotate_portion(portion, run)]
            with ThreadPoolExecutor(PORTIONS_AT_ONCE, "annotate-portion") as pool:
                done = pool.map(self._annotate_portion, portions, itertools.repeat(run))
                return [result for results in done for result in results]

    def word_logits(self, sentences: Sequence[str]) -> list[WordLogits]:
        """Say of a batch what the heads that decide give to each word: positional, one result for each sentence.

        The batch is one portion; SENTENCES_AT_ONCE is a good size. A sentence that cannot be annotated has no words.
        """
        with self._forward.started() as run:
            tokens, logits, failures = self._encode(sentences, run)
        words = np.concatenate([[0], np.cumsum(tokens.starts)])[tokens.bounds]
        found = []
        for index, (sentence, encoding) in enumerate(zip(sentences, tokens.encodings, strict=True)):
            starts = tokens.starts[tokens.bounds[index] : tokens.bounds[index + 1]]
            places = word_places(sentence, encoding, starts)
            rows = logits[words[index] : words[index + 1]]
            found.append(_NO_WORDS if index in failures else WordLogits(places=places, logits=rows))
        return found

    def _annotate_portion(self, sentences: Sequence[str], run: Run) -> list[SentenceAnnotation]:
        tokens, logits, failures = self._encode(sentences, run)
        return self._decode(sentences, tokens, logits, failures)

    def _encode(self, sentences: Sequence[str], run: Run) -> tuple[_Tokens, NDArray[np.float32], dict[int, str]]:
        """Return a portion as pieces, the logits of its words, [words, tags], and why sentences have failed."""
        tokens = self._tokenise(sentences)
        windows = pack_windows(tokens.ids, tokens.bounds, tokens.starts, size=self._window, special=self._special)
        logits = np.zeros((np.count_nonzero(tokens.starts), self._tags), dtype=np.float32)
        return tokens, logits, {**tokens.failures, **run(windows, logits)}

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
        spans = self._decoder.decode(logits, words_before[tokens.bounds])
        if failures:
            spans = spans.chosen(~np.isin(spans.sentences, list(failures)))
        results = [_NOTHING] * len(sentences)
        for index, mentions in _mentions(spans, *_places(sentences, tokens, spans)):
            results[index] = SentenceAnnotation(mentions=mentions)
        for index, reason in failures.items():
            results[index] = SentenceAnnotation(status=AnnotationStatus.FAILED, detail=reason)
        return results


def _places(sentences: Sequence[str], tokens: _Tokens, spans: WordSpans) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return where spans of words start and end in their sentences, in code points."""
    encodings = tokens.encodings
    start, stop = tokens.bounds[spans.sentences], tokens.bounds[spans.sentences + 1]
    # Where each word begins, and what begins behind the last.
    pieces = np.append(np.flatnonzero(tokens.starts), len(tokens.ids))
    # A sentence may begin with pieces of no word: they belong to none, and not to the last word of the one before.
    columns = (
        spans.sentences,
        pieces[spans.firsts] - start,
        np.minimum(pieces[spans.firsts + 1], stop) - start,
        pieces[spans.ends - 1] - start,
        np.minimum(pieces[spans.ends], stop) - start,
    )
    places = [
        span_bounds(sentences[index], encodings[index], first, behind, last, end)
        for index, first, behind, last, end in zip(*(column.tolist() for column in columns), strict=True)
    ]
    at, until = np.array(places, dtype=np.int64).reshape(-1, 2).T
    return at, until


def _mentions(
    spans: WordSpans, at: NDArray[np.int64], until: NDArray[np.int64]
) -> Iterator[tuple[int, tuple[Mention, ...]]]:
    """Yield the sentences that have mentions with these in order, one for each offsets and label.

    Heads may agree once their labels have one name; the higher score holds.
    """
    order = np.lexsort((spans.labels, until, at, spans.sentences))
    order = order[at[order] < until[order]]
    if len(order) == 0:
        return
    keys = np.stack([spans.sentences[order], at[order], until[order], spans.labels[order]])
    new = np.flatnonzero(np.append(True, (keys[:, 1:] != keys[:, :-1]).any(axis=0)))
    owners, starts, ends, labels = keys[:, new]
    scores = np.maximum.reduceat(spans.scores[order], new)
    mentions = [
        Mention(start_char=start, end_char=end, label=spans.names[label], score=score)
        for start, end, label, score in zip(
            starts.tolist(), ends.tolist(), labels.tolist(), scores.tolist(), strict=True
        )
    ]
    firsts = np.flatnonzero(np.diff(owners, prepend=-1)).tolist()
    for first, behind in zip(firsts, [*firsts[1:], len(mentions)], strict=True):
        yield int(owners[first]), tuple(mentions[first:behind])


def _digest(fields: Mapping[str, object]) -> str:
    return hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()[:16]
