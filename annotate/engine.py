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
import torch
from numpy.typing import NDArray

from annotate.cuda_encoder import CudaEncoder
from annotate.decode import HeadsDecoder
from annotate.encoder import PackedEncoder
from annotate.folder import SPECIAL_PIECES, TOKENIZER, ModelFolder, load_weights
from annotate.forward import Encoder, ForwardPass, Run
from annotate.pieces import load_tokenizer, special_ids, word_bounds, word_starts
from annotate.precision import ComputeSettings, resolve_device, resolve_precision, usable_cores
from annotate.windows import pack_windows
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
    """An annotator over a model folder, ours or Hugging Face's. Thread-safe.

    On the CPU a sentence gets the same mentions with the same scores whatever sentences stand beside it and however
    many threads work; on a GPU the last bits may differ (:mod:`annotate.cuda_encoder`). The threads live as long as one
    call; each computes alone, which sets torch's own number of threads to one.
    """

    def __init__(self, folder: ModelFolder, settings: ComputeSettings, *, name: str, model: str) -> None:
        """Load the weights onto the device.

        Raises:
            AnnotatorError: the folder's files cannot be used, or the device is not there or too small.
        """
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
        self._encoder = _load_encoder(folder, settings)
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
        return _Tokens(encodings=encodings, ids=ids, bounds=bounds, starts=self._word_starts[ids], failures=failures)

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
                mentions = [
                    Mention(start_char=at[span.first], end_char=until[span.end - 1], label=span.label, score=span.score)
                    for span in spans
                ]
                mentions.sort(key=lambda mention: (mention.start_char, mention.end_char, mention.label))
                results.append(SentenceAnnotation(mentions=tuple(mentions)))
            else:
                results.append(nothing)
        return results


def _load_encoder(folder: ModelFolder, settings: ComputeSettings) -> Encoder:
    """Load the weights of a folder onto the device that the settings name or leave open."""
    device = resolve_device(settings.device)
    dtype = resolve_precision(settings.precision, device)
    weights, heads = load_weights(folder.path), folder.deciding_heads
    try:
        if device.type == "cpu":
            return PackedEncoder(folder, weights, heads, dtype, threads=settings.threads or usable_cores())
        return CudaEncoder(folder, weights, heads, dtype, device)
    except KeyError as error:
        raise AnnotatorError(f"the weights in {folder.path} have no tensor {error}") from None
    except (torch.OutOfMemoryError, MemoryError) as error:
        raise AnnotatorError(
            f"{folder.path} does not fit into the memory of {device} ({error}); "
            "free some, or set COMENTION_ANNOTATE__DEVICE to another device"
        ) from error


def _digest(fields: Mapping[str, object]) -> str:
    return hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()[:16]
