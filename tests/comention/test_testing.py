"""The contract test finds what is broken: each way of breaking it is named by the part that it breaks."""

from __future__ import annotations

import dataclasses
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence

import pytest

from comention.testing import ContractError, check_annotator
from comention.types import AnnotationStatus, AnnotatorInfo, Mention, SentenceAnnotation

INFO = AnnotatorInfo(name="words", version="1", model="", revision="", labels=("Drug",), config_hash="")
Annotate = Callable[[Sequence[str]], list[SentenceAnnotation]]


def one(sentence: str, **changes: object) -> SentenceAnnotation:
    found = [
        dataclasses.replace(Mention(start_char=at.start(), end_char=at.end(), label="Drug", score=0.5), **changes)
        for at in re.finditer(r"clozapine|aspirin|Fluorouracil", sentence)
    ]
    return SentenceAnnotation(mentions=tuple(found))


def plain(sentences: Sequence[str]) -> list[SentenceAnnotation]:
    return [one(sentence) for sentence in sentences]


class Words:
    """Finds a few words; ``how`` may do it otherwise."""

    def __init__(self, how: Annotate = plain, info: AnnotatorInfo = INFO) -> None:
        self._how, self._info = how, info

    @property
    def info(self) -> AnnotatorInfo:
        return self._info

    def annotate(self, sentences: Sequence[str]) -> list[SentenceAnnotation]:
        return self._how(sentences)


def broken(annotator: Words, **given: object) -> set[str]:
    with pytest.raises(AssertionError) as raised:
        check_annotator(annotator, **given)
    assert isinstance(raised.value, ContractError)
    found = {finding.part for finding in raised.value.findings if finding.problem is not None}
    assert all(part in str(raised.value) for part in found)
    return found


def test_an_annotator_that_keeps_its_contract_passes():
    findings = check_annotator(Words(), examples=["aspirin"])
    assert len(findings) == 13
    assert all(finding.problem is None for finding in findings)
    assert len(check_annotator(Words(), threads=False)) == 12


BOUNDS = "one result for each sentence, mentions in bounds and in order"
ORDER = "the order of the sentences does not matter"
COMPANY = "nor does their company"
LONG = "a sentence of 20,000 words is read to its end, or said to be truncated"


def utf16(sentences: Sequence[str]) -> list[SentenceAnnotation]:
    results = []
    for sentence in sentences:
        mentions = [
            dataclasses.replace(
                mention,
                start_char=len(sentence[: mention.start_char].encode("utf-16-le", "surrogatepass")) // 2,
                end_char=len(sentence[: mention.end_char].encode("utf-16-le", "surrogatepass")) // 2,
            )
            for mention in one(sentence).mentions
        ]
        results.append(SentenceAnnotation(mentions=tuple(mentions)))
    return results


def truncated(sentences: Sequence[str]) -> list[SentenceAnnotation]:
    return [one(sentence[:2000]) for sentence in sentences]


def joined(sentences: Sequence[str]) -> list[SentenceAnnotation]:
    """Label a word by how many sentences the batch has."""
    return [one(sentence, score=0.1 + 0.8 / len(sentences)) for sentence in sentences]


def fussy(sentences: Sequence[str]) -> list[SentenceAnnotation]:
    for sentence in sentences:
        sentence.encode()
    return plain(sentences)


def shuffled(sentences: Sequence[str]) -> list[SentenceAnnotation]:
    return [one(sentence) for sentence in sorted(sentences, key=len)]


def set_aside(sentences: Sequence[str]) -> list[SentenceAnnotation]:
    return [
        dataclasses.replace(one(sentence), status=AnnotationStatus.FAILED, detail="odd")
        if "\x00" in sentence else one(sentence)
        for sentence in sentences
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("how", "parts"),
    [
        (lambda sentences: plain(sentences)[:-1], {BOUNDS}),
        (lambda sentences: tuple(plain(sentences)), {BOUNDS, "no sentences give no results"}),
        (lambda sentences: [one(sentence, label="Gene") for sentence in sentences], {BOUNDS}),
        (lambda sentences: [one(sentence, score=1.5) for sentence in sentences], {BOUNDS}),
        (lambda sentences: [one(sentence, score=1) for sentence in sentences], {BOUNDS}),
        (lambda sentences: [one(sentence, start_char=0, end_char=0) for sentence in sentences], {BOUNDS}),
        (lambda sentences: [SentenceAnnotation(mentions=one(text).mentions[::-1]) for text in sentences], {LONG}),
        (lambda sentences: [SentenceAnnotation(mentions=one(text).mentions * 2) for text in sentences], {BOUNDS}),
        (lambda sentences: [SentenceAnnotation(status=AnnotationStatus.FAILED) for _ in sentences], {BOUNDS}),
        (utf16, {"offsets count code points"}),
        (truncated, {LONG}),
        (joined, {COMPANY}),
        (fussy, {"one sentence that is not Unicode does not harm the others"}),
        (shuffled, {BOUNDS}),
        (set_aside, {BOUNDS, "odd Unicode and control characters are no obstacle"}),
    ],
)
def test_what_is_broken_is_named(how: Annotate, parts: set[str]):
    assert parts <= broken(Words(how))


def test_an_annotator_that_cannot_do_without_words_is_caught():
    def blanks(sentences: Sequence[str]) -> list[SentenceAnnotation]:
        return [one(sentence) for sentence in sentences if sentence.split()[0]]

    assert "a blank sentence is done and has no mentions" in broken(Words(blanks))


def test_an_annotator_that_threads_may_not_share_is_caught_or_excused():
    two = threading.Barrier(2)

    def guarded(sentences: Sequence[str]) -> list[SentenceAnnotation]:
        if threading.current_thread() is threading.main_thread():
            return plain(sentences)
        two.wait(timeout=60)
        raise RuntimeError("already at work")

    annotator = Words(guarded)
    assert broken(annotator) == {"threads may share it"}
    check_annotator(annotator, threads=False)


@pytest.mark.parametrize(
    "changes", [{"name": ""}, {"labels": ()}, {"labels": ("Drug", "Drug")}, {"labels": ["Drug"]}, {"version": ""}]
)
def test_an_info_that_says_too_little_is_caught(changes: dict[str, object]):
    info = dataclasses.replace(INFO, **changes)
    assert "info says what it is, and can be pickled" in broken(Words(info=info))


def test_an_example_needs_a_mention():
    assert broken(Words(), examples=["nothing"]) == {"the examples have mentions"}


def test_the_kit_imports_no_sibling():
    code = "import sys, comention.testing; print(*{name.split('.')[0] for name in sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"annotate", "ingest", "storage", "pipeline", "numpy", "torch", "pydantic"} & set(done.stdout.split())
