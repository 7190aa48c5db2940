"""The annotator contract as a test, for those who write one.

In a test of a plugin, with pytest or without::

    from comention.testing import check_annotator

    def test_contract():
        check_annotator(load_mine(AnnotateSettings()), examples=["The dose was 5 mg."])

``comention annotators check NAME`` does the same from the command line.
"""

from __future__ import annotations

import dataclasses
import math
import pickle
import random
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

from comention.errors import ComentionError
from comention.types import AnnotationStatus, Annotator, AnnotatorInfo, Mention, SentenceAnnotation

EXAMPLES = (
    "Two patients developed agranulocytosis and fever while taking clozapine.",
    "5-Fluorouracil-induced cardiotoxicity, hypertension and valproic acid (500 mg/day) are discussed.",
    "The p53 protein of mouse hepatocytes binds the TP53 promoter and α-tocopherol.",
    "The methods of this study and their limitations are described.",
)
"""Sentences of the field, for annotators that need no others."""

BLANKS = ("", " ", "\t\n", "\r\n", "\u00a0", "\u200b")

ODDITIES = (
    "Sjo\u0308gren's syndrome and cafe\u0301-au-lait spots after penicillin.",
    "\U0001f600\U0001f468\u200d\u2695\ufe0f aspirin \U00010330 rash \U0001d6fc-tocopherol",
    "\u202erash caused by \u0627\u0644\u0623\u0633\u0628\u0631\u064a\u0646\u202c aspirin \u05d0\u05e1\u05e4\u05d9\u05e8",
    "Aspirin\r\ncaused\r\n\r\na rash.\r\n",
    "as\u200bpirin\u2060 \ufeffcaused\u00ad a\u200d rash",
    "aspirin\x00 \x01\x1b[31mcaused\x7f a \x85rash\ufffd",
    "\u963f\u53f8\u5339\u6797 ｃａｕｓｅｄ ﬁbrosis, İstanbul ß",
    "a" * 3000,
    "[CLS] <s> aspirin [SEP] </s> [MASK] <mask> [PAD]",
)
"""Texts that PubMed or a careless converter may hold: combining, astral, bidirectional, control and invisible characters."""

LONG_WORDS = 20_000
NOT_UNICODE = "aspirin \ud800 rash"
TOLERANCE = 0.01
"""How much a score may depend on the company of a sentence: a padded batch changes the last bits."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One part of the contract, and what breaks it; ``problem`` is None where it holds."""

    part: str
    problem: str | None = None


class ContractError(ComentionError, AssertionError):
    """An annotator breaks the contract; ``findings`` has every part, those that hold too."""

    def __init__(self, name: str, findings: Sequence[Finding]) -> None:
        self.findings = tuple(findings)
        broken = [finding for finding in findings if finding.problem is not None]
        lines = "".join(f"\n  {finding.part}: {finding.problem}" for finding in broken)
        super().__init__(
            f"the annotator {name!r} breaks {len(broken)} of {len(findings)} parts of its contract:{lines}"
        )


def check_annotator(annotator: Annotator, *, examples: Sequence[str] = (), threads: bool = True) -> tuple[Finding, ...]:
    """Prove that an annotator keeps its contract, and return what was looked at.

    ``examples`` are sentences in which the annotator finds something, without which some parts cannot show; there are
    general ones. ``threads=False`` is for an annotator whose documentation says that threads may not share it.

    Raises:
        ContractError: some part of the contract is broken. It is an AssertionError too, as a test wants it.
    """
    trial = _Trial(annotator, tuple(examples))
    parts: list[tuple[str, Callable[[], str | None]]] = [
        ("info says what it is, and can be pickled", trial.info),
        ("no sentences give no results", trial.nothing),
        ("one result for each sentence, mentions in bounds and in order", trial.results),
        ("the examples have mentions", trial.something),
        ("a blank sentence is done and has no mentions", trial.blanks),
        ("odd Unicode and control characters are no obstacle", trial.oddities),
        ("offsets count code points", trial.code_points),
        ("the order of the sentences does not matter", trial.order),
        ("nor does their company", trial.company),
        ("the same call gives the same result", trial.again),
        (f"a sentence of {LONG_WORDS:,} words is read to its end, or said to be truncated", trial.long),
        ("one sentence that is not Unicode does not harm the others", trial.not_unicode),
    ]
    if threads:
        parts.append(("threads may share it", trial.threads))
    findings = []
    for part, look in parts:
        try:
            problem = look()
        except Exception as error:  # whatever an annotator may raise breaks the contract
            problem = f"it raises {type(error).__name__}: {error}"
        findings.append(Finding(part=part, problem=problem))
    if any(finding.problem is not None for finding in findings):
        raise ContractError(str(getattr(annotator.info, "name", annotator.info)), findings)
    return tuple(findings)


class _Trial:
    """The parts of the contract; each method returns what is wrong, or None."""

    def __init__(self, annotator: Annotator, examples: tuple[str, ...]) -> None:
        self._annotator = annotator
        self._given = examples
        self._examples = examples or EXAMPLES
        self._sentences = (*self._examples, *ODDITIES, *BLANKS, self._examples[0])

    def info(self) -> str | None:
        info = self._annotator.info
        if not isinstance(info, AnnotatorInfo):
            return f"info is {type(info).__name__} and not an AnnotatorInfo"
        if not info.name or not info.version:
            return "info has no name or no version"
        wrong = [label for label in info.labels if not isinstance(label, str) or not label.strip()]
        if not isinstance(info.labels, tuple) or not info.labels or wrong or len(set(info.labels)) < len(info.labels):
            return f"info.labels is {info.labels!r} and not a tuple of different names"
        if pickle.loads(pickle.dumps(info)) != info:  # noqa: S301  # pickled the line before
            return "info is another one after pickling"
        return None if self._annotator.info == info else "info changes from one look to the next"

    def nothing(self) -> str | None:
        found = self._annotator.annotate([])
        return None if found == [] else f"it returns {found!r}"

    def results(self) -> str | None:
        before = list(self._sentences)
        found = self._annotator.annotate(before)
        if before != list(self._sentences):
            return "it changes the list that it is given"
        return self._first(self._sentences, found)

    def something(self) -> str | None:
        if not self._given or any(one.mentions for one in self._annotator.annotate(self._given)):
            return None
        return "it finds nothing in the examples, of which some part of the contract needs one with a mention"

    def blanks(self) -> str | None:
        for sentence, found in zip(BLANKS, self._annotator.annotate(BLANKS), strict=True):
            if found.status is not AnnotationStatus.DONE or found.mentions:
                return f"{sentence!r} gives {found}"
        return None

    def oddities(self) -> str | None:
        for sentence in ODDITIES:
            found = self._annotator.annotate([sentence])
            problem = self._first([sentence], found)
            if problem is not None:
                return problem
            if found[0].status is AnnotationStatus.FAILED:
                return f"{sentence[:60]!r} fails: {found[0].detail}"
        return None

    def code_points(self) -> str | None:
        # So many characters of four bytes stand in front that an offset in bytes or UTF-16 units lies outside.
        texts = ["\U0001f600" * (len(example) + 8) + f" {example}" for example in self._examples]
        return self._first(texts, self._annotator.annotate(texts))

    def order(self) -> str | None:
        expected = self._annotator.annotate(self._sentences)
        order = list(range(len(self._sentences)))
        random.Random(0).shuffle(order)  # noqa: S311  # no secret
        found = self._annotator.annotate([self._sentences[index] for index in order])
        return self._unlike([expected[index] for index in order], found, [self._sentences[index] for index in order])

    def company(self) -> str | None:
        expected = self._annotator.annotate(self._sentences)
        alone = [self._annotator.annotate([sentence])[0] for sentence in self._sentences]
        return self._unlike(expected, alone, self._sentences)

    def again(self) -> str | None:
        first, second = self._annotator.annotate(self._sentences), self._annotator.annotate(self._sentences)
        return self._unlike(first, second, self._sentences)

    def long(self) -> str | None:
        found_in = zip(self._examples, self._annotator.annotate(self._examples), strict=True)
        with_mentions = [example for example, annotation in found_in if annotation.mentions]
        example = min(with_mentions or self._examples, key=lambda one: len(one) / max(1, len(one.split())))
        copies = math.ceil(LONG_WORDS / max(1, len(example.split())))
        text = " ".join([example] * copies)
        found = self._annotator.annotate([text])
        problem = self._first([text], found)
        if problem is not None or found[0].status is AnnotationStatus.TRUNCATED:
            return problem
        if found[0].status is AnnotationStatus.FAILED:
            return f"it fails: {found[0].detail}"
        if not with_mentions:
            return None
        last = max((mention.end_char for mention in found[0].mentions), default=0)
        if last < 0.9 * len(text):
            return f"no mention behind character {last:,} of {len(text):,}, though it says that it is done"
        return None

    def not_unicode(self) -> str | None:
        first, last = self._examples[0], self._examples[-1]
        expected = self._annotator.annotate([first, last])
        found = self._annotator.annotate([first, NOT_UNICODE, last])
        if len(found) != 3:
            return f"{len(found)} results for 3 sentences"
        return self._unlike(expected, [found[0], found[2]], [first, last])

    def threads(self) -> str | None:
        expected = self._annotator.annotate(self._sentences)
        with ThreadPoolExecutor(4) as pool:
            for found in pool.map(self._annotator.annotate, [self._sentences] * 4):
                problem = self._unlike(expected, found, self._sentences)
                if problem is not None:
                    return problem
        return None

    def _first(self, sentences: Sequence[str], found: object) -> str | None:
        """Return the first thing that is wrong with the results of a batch by themselves."""
        if not isinstance(found, list):
            return f"annotate returns {type(found).__name__} and not a list"
        if len(found) != len(sentences):
            return f"{len(found)} results for {len(sentences)} sentences"
        labels = set(self._annotator.info.labels)
        for sentence, annotation in zip(sentences, found, strict=True):
            problem = next(_problems(sentence, annotation, labels), None)
            if problem is not None:
                return f"{sentence[:60]!r}: {problem}"
        return None

    @staticmethod
    def _unlike(
        expected: Sequence[SentenceAnnotation], found: Sequence[SentenceAnnotation], sentences: Sequence[str]
    ) -> str | None:
        """Return how the results of one batch differ from those of another."""
        if len(expected) != len(found):
            return f"{len(found)} results where there were {len(expected)}"
        for one, other, sentence in zip(expected, found, sentences, strict=True):
            near = all(abs(a.score - b.score) <= TOLERANCE for a, b in zip(one.mentions, other.mentions, strict=False))
            if _key(one) != _key(other) or not near:
                return f"{sentence[:60]!r} gives {other} where it gave {one}"
        return None


def _key(annotation: SentenceAnnotation) -> object:
    return annotation.status, [(one.start_char, one.end_char, one.label) for one in annotation.mentions]


def _problems(sentence: str, annotation: object, labels: set[str]) -> Iterator[str]:
    """Yield what is wrong with the result of one sentence."""
    if not isinstance(annotation, SentenceAnnotation):
        yield f"the result is {type(annotation).__name__} and not a SentenceAnnotation"
        return
    if not isinstance(annotation.mentions, tuple):
        yield "mentions is not a tuple"
    if (annotation.detail is None) is not (annotation.status is AnnotationStatus.DONE):
        yield f"the status is {annotation.status} and the detail {annotation.detail!r}: all but done have one"
    if annotation.status is AnnotationStatus.FAILED and annotation.mentions:
        yield "it failed and has mentions"
    places = []
    for mention in annotation.mentions:
        if not isinstance(mention, Mention):
            yield f"{mention!r} is not a Mention"
            return
        if type(mention.start_char) is not int or type(mention.end_char) is not int:
            yield f"the offsets of {mention} are no plain int"
        if not 0 <= mention.start_char < mention.end_char <= len(sentence):
            yield f"{mention} is empty or outside the {len(sentence)} characters of the sentence"
        if mention.label not in labels:
            yield f"{mention} has a label that info does not name ({', '.join(sorted(labels))})"
        if not isinstance(mention.score, float) or not 0 <= mention.score <= 1:
            yield f"the score of {mention} is no float between 0 and 1"
        places.append((mention.start_char, mention.end_char, mention.label))
    if places != sorted(places):
        yield f"mentions are not sorted by start, end and label: {places}"
    if len(set(places)) < len(places):
        yield f"a mention stands there twice: {places}"
