"""Teachers: finished models that say of words, under one head, what another model is to learn.

A teacher may have another tokenizer. Two models speak of the same word where it starts at the same code point of its
sentence; what is a word for one alone is left as it was.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from annotate.engine import SENTENCES_AT_ONCE, BertAnnotator
from annotate.examples import Example, tag_offsets
from annotate.folder import Head, TaggerFolder, open_folder
from annotate.labels import Scheme
from annotate.words import word_places
from comention.errors import AnnotatorError

if TYPE_CHECKING:
    from annotate.examples import PackedExamples
    from annotate.words import Words

_Words = tuple[NDArray[np.int64], NDArray[np.float32]]
"""Where the words of a sentence start, and the probabilities of their tags, [words, tags of the head]."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Computing:
    """How a teacher is run: as fast as the device allows."""

    device: str
    threads: int | None
    precision: str = "auto"
    batch_tokens: int | None = None


class Teacher:
    """A token-classification model of any kind that says what it gives to words under one head."""

    def __init__(self, path: Path, head: Head, share: float) -> None:
        """Look at a model folder, ours or Hugging Face's; nothing is loaded before it is asked.

        ``share`` is its weight beside what another model itself says.

        Raises:
            AnnotatorError: the folder cannot be used, or its tags are not those of the head.
        """
        self.head = head
        self.share = share
        self._folder, tags = _open(path, head)
        self._order = [tags.index(tag) for tag in head.tags]

    def ask(self, sentences: Sequence[str], *, device: str, threads: int | None) -> Iterator[dict[str, _Words]]:
        """Load the model and yield, portion by portion, what it says of the words of distinct sentences.

        Raises:
            AnnotatorError: the model cannot be loaded, or the device has failed.
        """
        computing = _Computing(device=device, threads=threads)
        annotator = BertAnnotator(self._folder, computing, name=self._folder.name, model=self._folder.name)
        for start in range(0, len(sentences), SENTENCES_AT_ONCE):
            portion = sentences[start : start + SENTENCES_AT_ONCE]
            said = annotator.word_logits(portion)
            yield {
                sentence: (one.places, _softmax(one.logits)[:, self._order])
                for sentence, one in zip(portion, said, strict=True)
                if len(one.places)
            }


def mix_teachers(
    probabilities: torch.Tensor,
    packed: PackedExamples,
    examples: Sequence[Example],
    *,
    words: Words,
    heads: Sequence[Head],
    teachers: Sequence[Teacher],
    device: str,
    threads: int | None,
    on_portion: Callable[[int, int], None],
) -> None:
    """Give the first piece of each word, in place, what teachers say, beside what the model itself has said.

    ``probabilities`` are fp16 [pieces of the packed examples, tags of all heads]; under the head of a teacher they become
    ``(1 - share) * own + share * teacher``, by the teacher's share. Asked is about the plain examples and those under a
    head that has a teacher, each distinct sentence once; ``on_portion`` hears how many portions are done, and of how many.
    A sentence that is longer than the window keeps the model's own, and so do words that the two tokenizers see differently.

    Raises:
        AnnotatorError: a teacher cannot be loaded, or its device has failed.
    """
    taught = {"", *(teacher.head.name for teacher in teachers)}
    asked: dict[str, list[int]] = {}
    for number, example in enumerate(examples):
        if example.text and example.head in taught:
            asked.setdefault(example.text, []).append(number)
    sentences = list(asked)
    own = dict(zip(sentences, _own_words(words, sentences), strict=True))
    firsts = dict(zip((head.name for head in heads), tag_offsets(heads), strict=True))
    portions, done = -(-len(sentences) // SENTENCES_AT_ONCE) * len(teachers), 0
    for teacher in teachers:
        tags = slice(firsts[teacher.head.name], firsts[teacher.head.name] + len(teacher.head.tags))
        for said in teacher.ask(sentences, device=device, threads=threads):
            rows: list[NDArray[np.int64]] = []
            given: list[NDArray[np.float32]] = []
            for sentence, (places, shares) in said.items():
                pieces, own_places = own[sentence]
                _, mine, theirs = np.intersect1d(own_places, places, return_indices=True)
                for number in asked[sentence]:
                    rows.append(packed.starts[number] + len(words.before) + pieces[mine])
                    given.append(shares[theirs])
            if rows:
                at = torch.from_numpy(np.concatenate(rows)).to(probabilities.device)
                teaching = torch.from_numpy(np.concatenate(given)).to(probabilities.device)
                mixed = torch.lerp(probabilities[at, tags].float(), teaching, teacher.share)
                probabilities[at, tags] = mixed.to(probabilities.dtype)
            done += 1
            on_portion(done, portions)


def _own_words(words: Words, sentences: Sequence[str]) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Yield the first piece of each word of each sentence, and the code point at which the word starts."""
    for sentence in sentences:
        encoding = words.tokenizer.encode(sentence, add_special_tokens=False)
        starts = words.starts([sentence], [encoding], np.array(encoding.ids, dtype=np.int64))
        yield np.flatnonzero(starts), word_places(sentence, encoding, starts)


def _open(path: Path, head: Head) -> tuple[TaggerFolder, list[str]]:
    """Open the folder of a teacher and return it with its tags as they are called after its label map."""
    folder = open_folder(path)
    if head.name in (one.name for one in folder.heads):
        folder = open_folder(path, head=head.name)
    heads = folder.deciding_heads
    names = [folder.names.get(label, label) for one in heads for label in one.labels]
    if len(heads) != 1 or heads[0].scheme is not Scheme.BIO or len(set(names)) < len(names):
        raise AnnotatorError(
            f"the teacher {path} for head {head.name} cannot be used: it needs one head whose tags are O, and B and I of labels"
        )
    tags = [tag if tag == "O" else f"{tag[:2]}{folder.names.get(tag[2:], tag[2:])}" for tag in heads[0].tags]
    if sorted(tags) != sorted(head.tags):
        raise AnnotatorError(
            f"the teacher {path} has the tags {', '.join(tags)}, and head {head.name} has {', '.join(head.tags)}: "
            "they have to be the same"
        )
    return folder, tags


def _softmax(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    raised = np.exp(logits - logits.max(axis=1, keepdims=True))
    shares: NDArray[np.float32] = raised / raised.sum(axis=1, keepdims=True)
    return shares
