"""A made corpus for the benchmark of the store: words, names, citations and mentions, the same for the same seed.

What is taken from the literature is its shape. Drugs and conditions are drawn by Zipf's law with exponent 1, most have several
spellings, a drug has conditions that it prefers, an abstract keeps to a subject, PMIDs ascend with gaps, years run from 1960 to
2025 with ever more citations. What is made is every word, so that nobody's text is needed.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import random
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from comention.names import normalise_name

BATCH = 2_000
"""Citations that are drawn together; a batch's number decides what it holds."""

MENTIONS_A_CITATION = 10.0
FULL_CITATIONS = 2_000_000
"""From this size on a corpus has all its concepts."""

Ints = npt.NDArray[np.int64]

_LABELS = ("Drug", "Condition", "Gene", "Taxon")
_SHARES = (0.38, 0.42, 0.13, 0.07)
_CONCEPTS = (12_000, 26_000, 4_000, 2_000)
_CURIES = ("mesh:D1", "mesh:D2", "ncbigene:", "ncbitaxon:")
_WORDS = 50_000
_PREFERRED = 12
_SECTIONS = (
    ("BACKGROUND", "BACKGROUND"),
    ("METHODS", "METHODS"),
    ("RESULTS", "RESULTS"),
    ("CONCLUSION", "CONCLUSIONS"),
)
_JOURNALS = 3_000


def _zipf(chance: np.random.Generator, size: int, among: int, exponent: float = 1.0) -> Ints:
    """Draw ranks from 0, the first the most likely: the inverse of the continuous distribution, cut off at ``among``."""
    uniform = chance.random(size)
    if exponent == 1.0:
        ranks = np.exp(uniform * np.log(among + 1.0)) - 1.0
    else:
        tail = 1.0 - exponent
        ranks = (1.0 + uniform * ((among + 1.0) ** tail - 1.0)) ** (1.0 / tail) - 1.0
    drawn: Ints = np.minimum(ranks.astype(np.int64), among - 1)
    return drawn


def _make_words(chance: random.Random, count: int, syllables: tuple[int, int], endings: list[str]) -> list[str]:
    """Make that many different words that are their own names; ``syllables`` is half-open."""
    onsets = [*"bcdfglmnprtvz", "br", "cl", "dr", "fl", "gr", "pr", "st", "tr"]
    nuclei = [*"aeiou", "ia", "eo", "ou"]
    words: dict[str, None] = {}
    while len(words) < count:
        size = chance.randrange(*syllables)
        word = "".join(chance.choice(onsets) + chance.choice(nuclei) for _ in range(size)) + chance.choice(endings)
        if normalise_name(word) == word:
            words[word] = None
    return list(words)


@dataclass(frozen=True, slots=True)
class Name:
    """A name with its concept; ids are those that the database gets."""

    name_id: int
    concept_id: int
    label: int
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Citations with sentences and mentions, as columns.

    Of citations: ``pmids``, ``years``, ``retracted``, ``texts``, ``title_lengths``, ``sections`` (label, category, start, end).
    Of sentences: ``sentence_of`` (place of the citation in it), ``ordinals``, ``section_ordinals``, ``starts``, ``ends``.
    Of mentions, in order of sentence and place: ``mention_of`` (place of the sentence in the batch), ``mention_starts`` and
    ``mention_ends`` within the sentence, ``name_indexes`` (into ``Corpus.names``) and ``scores``.
    """

    number: int
    pmids: list[int]
    years: list[int]
    retracted: list[bool]
    texts: list[str]
    title_lengths: list[int]
    sections: list[list[tuple[str, str | None, int, int]]]
    sentence_of: Ints
    ordinals: Ints
    section_ordinals: Ints
    starts: Ints
    ends: Ints
    mention_of: Ints
    mention_starts: Ints
    mention_ends: Ints
    name_indexes: Ints
    scores: npt.NDArray[np.float64]

    def hash_of(self, place: int) -> bytes:
        """The content hash of the citation at a place."""
        return hashlib.blake2b(self.texts[place].encode(), digest_size=16).digest()

    def published_on(self, place: int) -> dt.date:
        """The date of publication of the citation at a place."""
        return dt.date(self.years[place], 1 + self.pmids[place] % 12, 1)


class Corpus:
    """Words and names of a corpus of ``citations`` citations, and its batches.

    The size decides in which year a citation lies and, by its square root, how many concepts there are: 44,000 with 122,000
    names from two million citations on. What a batch holds depends on the size, its number and the seed alone.
    """

    def __init__(self, citations: int, *, seed: int = 7) -> None:
        self.citations = citations
        self._seed = seed
        share = min(1.0, max(0.1, (citations / FULL_CITATIONS) ** 0.5))
        self._concept_counts = [int(count * share) for count in _CONCEPTS]
        chance = np.random.default_rng([seed, 0])
        letters = random.Random(seed)
        self.words = _make_words(letters, _WORDS, (1, 5), ["", "n", "l", "r", "tion", "ment", "al", "ed"])
        self.names: list[Name] = []
        self.concepts: list[tuple[int, int, str, bool]] = []
        """Number, label, key, whether the key is a CURIE."""
        self._first: list[Ints] = []
        self._spellings: list[Ints] = []
        for label in range(len(_LABELS)):
            self._make_names(chance, letters, label)
        drugs, conditions = self._concept_counts[:2]
        self._preferred = _zipf(chance, drugs * _PREFERRED, conditions, 0.7).reshape(drugs, _PREFERRED)
        token_texts = [*self.words, *(name.text for name in self.names)]
        self._tokens = np.array(token_texts, dtype=object)
        self._token_lengths = np.array([len(text) for text in token_texts], dtype=np.int64)

    @cached_property
    def labels(self) -> tuple[str, ...]:
        """The labels, by number from 0."""
        return _LABELS

    def _make_names(self, chance: np.random.Generator, letters: random.Random, label: int) -> None:
        concepts = self._concept_counts[label]
        # Three spellings a concept in the mean; concepts with one are known to no terminology.
        spellings = np.minimum(chance.geometric(0.36, concepts), 12)
        total = int(spellings.sum())
        if label == 0:
            texts = _make_words(
                letters, total, (2, 5), ["mab", "nib", "olol", "pril", "statin", "azole", "cillin", "in", "ide"]
            )
        elif label == 1:
            stems = _make_words(letters, 6_000, (2, 4), ["ic", "al", "oid", "ose", "an"])
            heads = [
                "disease",
                "syndrome",
                "failure",
                "pain",
                "infection",
                "tumour",
                "injury",
                "disorder",
                "rash",
                "fever",
            ]
            single = _make_words(letters, total // 3, (2, 5), ["itis", "osis", "emia", "algia", "oma", "pathy"])
            pairs = {f"{letters.choice(stems)} {letters.choice(heads)}" for _ in range(total)}
            texts = [*single, *sorted(text for text in pairs if normalise_name(text) == text)][:total]
            spare = total - len(texts)
            texts += [f"{stems[place // 10]} acute {heads[place % 10]}" for place in range(spare)]
            letters.shuffle(texts)
        else:
            texts = _make_words(letters, total, (1, 4), ["1", "2", "3a"] if label == 2 else ["ella", "cocci", "virida"])
        first, place = [], 0
        for rank in range(concepts):
            count = int(spellings[rank])
            number = len(self.concepts) + 1
            linked = count > 1
            key = f"{_CURIES[label]}{rank:06}" if linked else texts[place]
            self.concepts.append((number, label, key, linked))
            first.append(len(self.names))
            for text in texts[place : place + count]:
                self.names.append(Name(len(self.names) + 1, number, label, text))
            place += count
        self._first.append(np.array(first))
        self._spellings.append(spellings)

    def pmids_of(self, number: int) -> Ints:
        """The PMIDs of a batch: nearly three of four numbers are taken, as in PubMed."""
        chance = np.random.default_rng([self._seed, 1, number])
        room = BATCH * 4 // 3
        return 1 + number * room + np.sort(chance.choice(room, BATCH, replace=False))

    def batch(self, number: int) -> Batch:
        """Draw a batch."""
        chance = np.random.default_rng([self._seed, 2, number])
        pmids = self.pmids_of(number)
        structured = chance.random(BATCH) < 0.4
        counts = np.where(structured, 9, 4 + chance.poisson(2.0, BATCH))
        sentences = int(counts.sum())
        sentence_of = np.repeat(np.arange(BATCH), counts)
        first_sentence = np.concatenate([[0], np.cumsum(counts)[:-1]])
        ordinals = np.arange(sentences) - first_sentence[sentence_of]
        section_ordinals = np.where(ordinals == 0, 0, np.where(structured[sentence_of], 1 + (ordinals - 1) // 2, 1))
        mention_of, name_indexes = self._draw_mentions(chance, sentence_of, counts)

        # Tokens: each sentence's words and then its mentions, in a random order.
        words = 8 + chance.poisson(9.0, sentences)
        in_sentence = np.concatenate([np.repeat(np.arange(sentences), words), mention_of])
        total_words = int(words.sum())
        tokens = np.concatenate([_zipf(chance, total_words, _WORDS), _WORDS + name_indexes])
        order = np.argsort(in_sentence + chance.random(len(in_sentence)))
        tokens, in_sentence = tokens[order], in_sentence[order]
        sizes = self._token_lengths[tokens] + 1
        sentence_sizes = np.bincount(in_sentence, weights=sizes, minlength=sentences).astype(np.int64)
        token_counts = np.bincount(in_sentence, minlength=sentences)
        first_token = np.concatenate([[0], np.cumsum(token_counts)[:-1]])
        before = np.cumsum(sizes) - sizes
        in_sentence_starts = before - before[first_token][in_sentence]

        # A section's label stands before its first sentence, and belongs to neither.
        opens = structured[sentence_of] & (ordinals > 0) & (ordinals % 2 == 1)
        label_sizes = np.array([len(label) + 2 for label, _ in _SECTIONS])
        prefix_sizes = np.where(opens, label_sizes[np.clip(section_ordinals - 1, 0, 3)], 0)
        taken = prefix_sizes + sentence_sizes + 1
        cumulated = np.cumsum(taken) - taken
        starts = cumulated - cumulated[first_sentence][sentence_of] + prefix_sizes
        ends = starts + sentence_sizes

        is_mention = tokens >= _WORDS
        mention_sentence = in_sentence[is_mention]
        mention_starts = in_sentence_starts[is_mention]
        names = tokens[is_mention] - _WORDS
        texts, title_lengths = self._write(tokens, first_token, token_counts, opens, section_ordinals, counts)
        place = np.arange(number * BATCH, (number + 1) * BATCH) / max(self.citations, 1)
        years = np.clip(1960 + np.floor(66 * np.sqrt(np.minimum(place, 1))), 1960, 2025).astype(int)
        return Batch(
            number=number,
            pmids=pmids.tolist(),
            years=years.tolist(),
            retracted=(chance.random(BATCH) < 0.02).tolist(),
            texts=texts,
            title_lengths=title_lengths,
            sections=list(self._sections(structured, counts, first_sentence, starts, ends)),
            sentence_of=sentence_of,
            ordinals=ordinals,
            section_ordinals=section_ordinals,
            starts=starts,
            ends=ends,
            mention_of=mention_sentence,
            mention_starts=mention_starts,
            mention_ends=mention_starts + self._token_lengths[tokens[is_mention]],
            name_indexes=names,
            scores=np.round(0.5 + 0.5 * chance.random(len(names)) ** 0.3, 4),
        )

    def _draw_mentions(self, chance: np.random.Generator, sentence_of: Ints, counts: Ints) -> tuple[Ints, Ints]:
        """Draw which sentences have how many mentions of what: (sentence, index of the name), in order of the sentence."""
        mean = MENTIONS_A_CITATION * len(counts) / len(sentence_of)
        mention_of = np.repeat(np.arange(len(sentence_of)), chance.poisson(mean, len(sentence_of)))
        size = len(mention_of)
        citation = sentence_of[mention_of]
        labels = chance.choice(len(_LABELS), size, p=_SHARES)
        concepts = np.zeros(size, dtype=np.int64)
        drug_of_citation = _zipf(chance, len(counts), self._concept_counts[0])
        condition_of_citation = _zipf(chance, len(counts), self._concept_counts[1])
        known = chance.random(len(counts)) < 0.6
        favourite = self._preferred[drug_of_citation, _zipf(chance, len(counts), _PREFERRED)]
        condition_of_citation = np.where(known, favourite, condition_of_citation)
        for label, among in enumerate(self._concept_counts):
            mine = labels == label
            drawn = _zipf(chance, int(mine.sum()), among)
            if label < 2:
                subject = (drug_of_citation, condition_of_citation)[label][citation[mine]]
                keeps = chance.random(len(drawn)) < 0.5
                if label == 1:
                    also = self._preferred[drug_of_citation[citation[mine]], _zipf(chance, len(drawn), _PREFERRED)]
                    drawn = np.where(chance.random(len(drawn)) < 0.4, also, drawn)
                drawn = np.where(keeps, subject, drawn)
            concepts[mine] = drawn
        indexes = np.zeros(size, dtype=np.int64)
        for label in range(len(_LABELS)):
            mine = labels == label
            ranks = concepts[mine]
            # The first spelling of a concept is the most frequent.
            spelling = np.minimum(chance.geometric(0.6, len(ranks)) - 1, self._spellings[label][ranks] - 1)
            indexes[mine] = self._first[label][ranks] + spelling
        return mention_of, indexes

    def _write(
        self,
        tokens: Ints,
        first_token: Ints,
        token_counts: Ints,
        opens: npt.NDArray[np.bool_],
        sections: Ints,
        counts: Ints,
    ) -> tuple[list[str], list[int]]:
        written = self._tokens[tokens].tolist()
        lines = []
        bounds = zip(first_token.tolist(), token_counts.tolist(), opens.tolist(), sections.tolist(), strict=True)
        for first, count, opening, section in bounds:
            line = " ".join(written[first : first + count]) + "."
            lines.append(f"{_SECTIONS[section - 1][0]}: {line}" if opening else line)
        texts, titles, place = [], [], 0
        for count in counts.tolist():
            titles.append(len(lines[place]))
            texts.append(lines[place] + "\n" + " ".join(lines[place + 1 : place + count]))
            place += count
        return texts, titles

    @staticmethod
    def _sections(
        structured: npt.NDArray[np.bool_], counts: Ints, first: Ints, starts: Ints, ends: Ints
    ) -> Iterator[list[tuple[str, str | None, int, int]]]:
        begin, end = starts.tolist(), ends.tolist()
        for has_labels, count, place in zip(structured.tolist(), counts.tolist(), first.tolist(), strict=True):
            title = ("TITLE", None, begin[place], end[place])
            if not has_labels:
                yield [title, ("", None, begin[place + 1], end[place + count - 1])]
                continue
            parts = [
                (label, category, begin[place + 1 + 2 * part], end[place + 2 + 2 * part])
                for part, (label, category) in enumerate(_SECTIONS)
            ]
            yield [title, *parts]
