"""How a recipe and the command line name a corpus: a path, and after a question mark what of it is meant.

``PATH?KEY=VALUE&KEY=VALUE``, for example ``ade?fold=0/10&part=train`` or ``biored/Train.PubTator?labels=Drug,Condition``:

- ``labels=A,B,FROM:TO``: only these labels, or types of the file; ``FROM:TO`` gives them another label
- ``part=train`` or ``part=test``, of exactly one of

  - ``fold=K/N``: fold K (from 0) of N over the articles; ``seed=S`` deals them out otherwise
  - ``share=F``: the fraction F of the articles is the test part; ``seed=S``
  - ``protocol=ade-card``: a quarter of the unique sentences is the test part, as on the card of the ADE model

- ``spans=all``: in CRAFT's standoff release, mentions of extension classes too
- ``guideline=NAME``: the annotation guideline, where it cannot be told from the file
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path

from annotate.corpora.model import Corpus
from annotate.splits import Split, split_ade_card, split_fold, split_share
from comention.errors import AnnotatorError

KEYS = ("labels", "part", "fold", "share", "seed", "protocol", "spans", "guideline")
_PROTOCOLS = ("ade-card",)
_NAME = re.compile(r"[^\s,:&=?]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class CorpusReference:
    """A parsed reference. ``labels`` are pairs (label or type of the file, label that it gets or empty)."""

    path: Path
    query: str = ""
    labels: tuple[tuple[str, str], ...] = ()
    part: str = ""
    fold: tuple[int, int] | None = None
    share: float | None = None
    seed: int = 0
    protocol: str = ""
    extensions: bool = False
    guideline: str = ""


def parse_reference(reference: str | Path) -> CorpusReference:
    """Parse a reference to a corpus. A path that exists as it stands is taken whole.

    Raises:
        AnnotatorError: a key is unknown or repeated, a value cannot be read, or keys do not go together.
    """
    text = str(reference)
    if "?" not in text or Path(text).exists():
        return CorpusReference(path=Path(text))
    path, _, query = text.rpartition("?")
    pairs: dict[str, str] = {}
    for item in query.split("&"):
        key, equals, value = item.partition("=")
        if key not in KEYS or not equals or not value:
            raise AnnotatorError(f"the corpus {text}: {item!r} is none of {', '.join(f'{key}=' for key in KEYS)}")
        if key in pairs:
            raise AnnotatorError(f"the corpus {text}: {key} is given twice")
        pairs[key] = value
    _check_keys(text, pairs)
    return CorpusReference(
        path=Path(path),
        query=query,
        labels=_labels(text, pairs["labels"]) if "labels" in pairs else (),
        part=pairs.get("part", ""),
        fold=_fold(text, pairs["fold"]) if "fold" in pairs else None,
        share=_number(text, "share", pairs["share"]) if "share" in pairs else None,
        seed=_seed(text, pairs["seed"]) if "seed" in pairs else 0,
        protocol=pairs.get("protocol", ""),
        extensions=pairs.get("spans") == "all",
        guideline=pairs.get("guideline", ""),
    )


def select_part(corpus: Corpus, reference: CorpusReference) -> Corpus:
    """Return the part of a corpus that a reference means; its name says which.

    Raises:
        AnnotatorError: the corpus cannot be split that way.
    """
    named = replace(corpus, name=f"{corpus.name}?{reference.query}") if reference.query else corpus
    if not reference.part:
        return named
    try:
        split: Split
        if reference.fold is not None:
            split = split_fold(named, *reference.fold, seed=reference.seed)
        elif reference.share is not None:
            split = split_share(named, reference.share, seed=reference.seed)
        else:
            split = split_ade_card(named)
    except ValueError as error:
        raise AnnotatorError(f"the corpus {reference.path}?{reference.query}: {error}") from None
    return split.train if reference.part == "train" else split.test


def _check_keys(text: str, pairs: dict[str, str]) -> None:
    ways = [key for key in ("fold", "share", "protocol") if key in pairs]
    for key, allowed in (("part", ("train", "test")), ("spans", ("base", "all")), ("protocol", _PROTOCOLS)):
        if key in pairs and pairs[key] not in allowed:
            raise AnnotatorError(f"the corpus {text}: {key}={pairs[key]} is not {' or '.join(allowed)}")
    if len(ways) > 1:
        raise AnnotatorError(f"the corpus {text}: {' and '.join(ways)} exclude one another")
    if ways and "part" not in pairs:
        raise AnnotatorError(f"the corpus {text}: {ways[0]} makes two parts; add part=train or part=test")
    if "part" in pairs and not ways:
        raise AnnotatorError(f"the corpus {text}: say what part={pairs['part']} is part of: fold=, share= or protocol=")
    if "seed" in pairs and ways not in (["fold"], ["share"]):
        raise AnnotatorError(f"the corpus {text}: seed= goes with fold= or share=")


def _labels(text: str, value: str) -> tuple[tuple[str, str], ...]:
    pairs = []
    for item in value.split(","):
        name, colon, label = item.partition(":")
        if _NAME.fullmatch(name) is None or (colon and _NAME.fullmatch(label) is None):
            raise AnnotatorError(f"the corpus {text}: labels={value} is no list of LABEL or FROM:TO")
        pairs.append((name, label))
    return tuple(pairs)


def _fold(text: str, value: str) -> tuple[int, int]:
    found = re.fullmatch(r"(\d{1,9})/(\d{1,9})", value)
    if found is None:
        raise AnnotatorError(f"the corpus {text}: fold={value} is not K/N, as in fold=0/10")
    return int(found[1]), int(found[2])


def _number(text: str, key: str, value: str) -> float:
    try:
        return float(value)
    except ValueError:
        raise AnnotatorError(f"the corpus {text}: {key}={value} is no number") from None


def _seed(text: str, value: str) -> int:
    if re.fullmatch(r"\d{1,9}", value) is None:
        raise AnnotatorError(f"the corpus {text}: seed={value} is no whole number")
    return int(value)
