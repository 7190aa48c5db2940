"""Measure sentence splitters against gold offsets: exact spans, and speed in processor time.

The corpus is the GENIA treebank aligned to its abstracts, one JSON object a line: ``text``, ``title_end`` and ``sentences``
as [start, end] pairs. The rules were tuned on the abstracts with an even index; the others are the test half.

    python -m benchmarks.sentences [--corpora FOLDER]

Beside it stand the splitters of the extra ``bench`` that are installed. The exit status is 1 where the project's own misses its
target on the test half: F1, and to be at least as good as each of the others.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from ingest.sentences import RuleSplitter

TARGET_F1 = 0.99
TARGET_SENTENCES_PER_SECOND = 20_000
"""Twice what 1,000 citations a second need."""
REPETITIONS = 3

Spans = list[tuple[int, int]]
Split = Callable[[str], Spans]


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """Exact-span precision, recall and F1, and sentences per second of processor time (best of several runs)."""

    precision: float
    recall: float
    f1: float
    sentences_per_second: float


def load_abstracts(corpora: Path) -> list[dict[str, Any]]:
    """Load the corpus: text, end of the title and gold spans of every abstract."""
    with gzip.open(corpora / "sentences" / "genia_sentences.jsonl.gz", "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def measure(split: Split, abstracts: list[dict[str, Any]]) -> Score:
    """Split title and abstract apart, as the pipeline does, and compare the spans with the gold ones."""
    seconds = float("inf")
    for _ in range(REPETITIONS):
        started = time.process_time()
        predicted = [_split_sections(split, abstract) for abstract in abstracts]
        seconds = min(seconds, time.process_time() - started)
    gold = [{(start, end) for start, end in abstract["sentences"]} for abstract in abstracts]
    found = sum(map(len, predicted))
    right = sum(len(expected & set(spans)) for expected, spans in zip(gold, predicted, strict=True))
    wanted = sum(map(len, gold))
    return Score(
        precision=right / found,
        recall=right / wanted,
        f1=2 * right / (found + wanted),
        sentences_per_second=found / seconds,
    )


def _split_sections(split: Split, abstract: dict[str, Any]) -> Spans:
    text, title_end = abstract["text"], abstract["title_end"]
    body = title_end + 1
    return split(text[:title_end]) + [(body + start, body + end) for start, end in split(text[body:])]


def list_splitters() -> dict[str, Split]:
    """The project's splitter, and those of other projects that are installed."""
    splitters: dict[str, Split] = {RuleSplitter.name: RuleSplitter().split}
    for name, load in _OTHERS.items():
        try:
            splitters[name] = load()
        except ImportError:
            print(f"{name} is not installed: pip install 'comention[bench]'")
    return splitters


def _load_nupunkt() -> Split:
    nupunkt = import_module("nupunkt")
    return lambda text: _trimmed(text, nupunkt.sent_spans(text))


def _load_segtok() -> Split:
    segtok = import_module("segtok.segmenter")
    return lambda text: _located(text, segtok.split_multi(text))


def _load_pysbd() -> Split:
    segmenter = import_module("pysbd").Segmenter(language="en", clean=False)
    return lambda text: _located(text, segmenter.segment(text))


def _load_blingfire() -> Split:
    blingfire = import_module("blingfire")
    return lambda text: _located(text, blingfire.text_to_sentences(text).split("\n"))


def _load_sentencex() -> Split:
    sentencex = import_module("sentencex")
    return lambda text: _located(text, sentencex.segment("en", text))


_OTHERS: dict[str, Callable[[], Split]] = {
    "segtok": _load_segtok,
    "nupunkt": _load_nupunkt,
    "pysbd": _load_pysbd,
    "blingfire": _load_blingfire,
    "sentencex": _load_sentencex,
}


def _trimmed(text: str, spans: Spans) -> Spans:
    """Spans without the white space around them, which some splitters count in."""
    stripped = ((start, end, text[start:end]) for start, end in spans)
    return [
        (start + len(part) - len(part.lstrip()), end - len(part) + len(part.rstrip()))
        for start, end, part in stripped
        if part.strip()
    ]


def _located(text: str, sentences: Any) -> Spans:
    """Offsets of the sentences of a splitter that returns strings only; it may have changed their white space."""
    spans: Spans = []
    position = 0
    for sentence in sentences:
        words = sentence.split()
        if not words:
            continue
        start = end = position
        for number, word in enumerate(words):
            at = text.index(word, end)
            start = at if number == 0 else start
            end = at + len(word)
        spans.append((start, end))
        position = end
    return spans


def main() -> int:
    """Print the table; 0 where the targets are met."""
    parser = argparse.ArgumentParser(description="Measure sentence splitters on the GENIA treebank.")
    parser.add_argument("--corpora", type=Path, default=os.environ.get("COMENTION_CORPORA", "../shared/data"))
    arguments = parser.parse_args()
    abstracts = load_abstracts(Path(arguments.corpora))
    print(f"{'splitter':<10} {'half':<5} {'P':>7} {'R':>7} {'F1':>7} {'sentences/cpu-s':>16}")
    met = True
    own = best = 0.0
    for name, split in list_splitters().items():
        for half, first in (("tuned", 0), ("test", 1)):
            score = measure(split, abstracts[first::2])
            print(
                f"{name:<10} {half:<5} {score.precision:7.4f} {score.recall:7.4f} {score.f1:7.4f}"
                f" {score.sentences_per_second:16,.0f}"
            )
            if name == RuleSplitter.name and half == "test":
                met = score.f1 >= TARGET_F1 and score.sentences_per_second >= TARGET_SENTENCES_PER_SECOND
                own = score.f1
            elif half == "test":
                best = max(best, score.f1)
    met = met and own >= best
    print(
        f"target: F1 {TARGET_F1}, no other better, and {TARGET_SENTENCES_PER_SECOND:,} sentences/cpu-s on the test half: "
        f"{'met' if met else 'MISSED'}"
    )
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
