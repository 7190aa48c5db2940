"""From the labels that a model was trained with to tags, and to the labels that its mentions get.

Models name their outputs in many ways: ``B-Chemical`` and ``I-Chemical``, ``Chemical`` alone, ``S-`` and ``E-`` for the last
and the only word, ``PER-B`` with the tag behind, or ``LABEL_3``, which says nothing. What can be told from the names is
told from them; a label map, a TOML file, says the rest.
"""

from __future__ import annotations

import enum
import re
import tomllib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from comention.errors import AnnotatorError

OUTSIDE = "O"

_NOTHING = re.compile(r"LABEL_\d+|[BIMLESU]")
"""Names that say nothing: the default of transformers, and a tag without its label."""

_PADDING = frozenset({"PAD", "[PAD]", "<pad>", "X", "[CLS]", "[SEP]"})
"""Outputs that some training scripts keep for pieces that are no word; no mention is meant by them."""

_BEFORE = re.compile(r"(?P<tag>[BIMLESU])[-_](?P<label>.+)", re.DOTALL)
_BEHIND = re.compile(r"(?P<label>.+)[-_](?P<tag>[BI])", re.DOTALL)
_SAME = {"M": "I", "E": "L", "S": "U"}
"""BIOES and BMES are BILOU with other letters."""


class Scheme(enum.StrEnum):
    """What tags mean. B begins a mention, I is inside it, L ends it, U is a mention of one word."""

    BIO = "BIO"
    """I continues a B or an I of its label and never begins a mention."""
    IOB1 = "IOB1"
    """I also begins a mention; B does so where a mention of the same label stands right before. Cannot be told from BIO."""
    IO = "IO"
    """I alone: neighbouring words of one label are one mention."""
    BILOU = "BILOU"
    """A mention is U, or B, any number of I, and L."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelMap:
    """What somebody says about the labels of a model; ``where`` is who says it, for messages.

    ``tags`` gives outputs another name, ``labels`` gives labels another name or, with ``None``, leaves their mentions out. A
    ``lenient`` map disregards case and what the model lacks.
    """

    tags: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str | None] = field(default_factory=dict)
    scheme: Scheme | None = None
    where: str = "the label map"
    lenient: bool = False


class _LabelFile(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    scheme: Scheme | None = None
    tags: dict[str, str] = Field(default_factory=dict)
    labels: dict[str, str | Literal[False]] = Field(default_factory=dict)


def load_label_map(path: Path) -> LabelMap:
    """Load a label map from its TOML file.

    Raises:
        AnnotatorError: the file cannot be read or is no label map; the message names the entry.
    """
    try:
        given = _LabelFile.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise AnnotatorError(f"the label map {path} cannot be read: {error.strerror or error}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise AnnotatorError(f"the label map {path} is not TOML: {error}") from error
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        entry = ".".join(str(part) for part in first["loc"][:2])
        known = "it may have 'scheme' (BIO, IOB1, IO or BILOU), [tags] (names to tags) and [labels] (names to names or false)"
        raise AnnotatorError(f"the label map {path} cannot be used: {entry}: {first['msg']}; {known}") from None
    empty = [name for table in (given.tags, given.labels) for name, value in table.items() if value == ""]
    if empty:
        raise AnnotatorError(f"the label map {path} maps {empty[0]!r} to nothing; to leave a label out, write false")
    labels = {name: None if value is False else value for name, value in given.labels.items()}
    return LabelMap(tags=given.tags, labels=labels, scheme=given.scheme, where=f"the label map {path}")


@dataclass(frozen=True, slots=True, kw_only=True)
class TagSet:
    """The tags of a model's outputs in their order: ``"O"``, or B, I, L or U, a hyphen and a label; and what they mean."""

    tags: tuple[str, ...]
    scheme: Scheme


def read_tags(names: Sequence[str], label_map: LabelMap, model: str) -> TagSet:
    """Tell the tags of a model from the names of its outputs; ``model`` names it in messages.

    Raises:
        AnnotatorError: they cannot be told, or the map does not fit the model. The message has the names that were found.
    """
    found = f"the labels of {model} are {_listed(names)}"
    _refuse(sorted(set(label_map.tags) - set(names)), f"{label_map.where} gives a meaning to {{}}, but {found}")
    meanings = [label_map.tags.get(name, name) for name in names]
    _refuse(
        [name for name, meaning in zip(names, meanings, strict=True) if _NOTHING.fullmatch(meaning)],
        f"{found}, and {{}} does not say what it means: say so in [tags] of a label map (--labels)",
    )
    tags, scheme = _recognise(meanings, found)
    if OUTSIDE not in tags:
        raise AnnotatorError(
            f"{found}, and none is O: say in [tags] of a label map (--labels) what is outside a mention"
        )
    _refuse(
        [tag for tag, count in Counter(tags).items() if count > 1 and tag != OUTSIDE], f"{found}, and two mean {{}}"
    )
    if label_map.scheme is not None:
        if label_map.scheme is not scheme and (label_map.scheme, scheme) != (Scheme.IOB1, Scheme.BIO):
            raise AnnotatorError(f"{label_map.where} says {label_map.scheme}, but {found}, which is {scheme}")
        scheme = label_map.scheme
    _refuse(
        _impossible(tags, scheme),
        f"{found}: under {scheme} there can be no mention of {{}}, since its tags cannot begin and end one",
    )
    return TagSet(tags=tags, scheme=scheme)


def name_labels(labels: Sequence[str], label_map: LabelMap, model: str) -> dict[str, str]:
    """Return the labels whose mentions are given, in order, each with the name that its mentions get.

    Raises:
        AnnotatorError: the map names a label that the model lacks, or leaves none.
    """
    given = dict(label_map.labels)
    if label_map.lenient:
        folded = {name.casefold(): value for name, value in given.items()}
        given = {label: folded[label.casefold()] for label in labels if label.casefold() in folded}
    unknown = sorted(set(given) - set(labels))
    _refuse(unknown, f"{label_map.where} names the label {{}}, but the labels of {model} are {_listed(labels)}")
    named = ((label, given.get(label, label)) for label in labels)
    kept = {label: name for label, name in named if name is not None}
    if not kept:
        raise AnnotatorError(f"{label_map.where} leaves out every label of {model}: {_listed(labels)}")
    return kept


def _recognise(meanings: Sequence[str], found: str) -> tuple[tuple[str, ...], Scheme]:
    """Tell the scheme from the form of the names, all of them in one form."""
    inside = [meaning for meaning in meanings if meaning != OUTSIDE and meaning not in _PADDING]
    for form in (_BEFORE, _BEHIND):
        odd = [meaning for meaning in inside if not form.fullmatch(meaning)]
        if not odd:
            return _split(meanings, form, found)
        if len(odd) < len(inside) and form is _BEFORE:
            _refuse(
                odd,
                f"{found}, and {{}} is not a tag like the others: say in [tags] of a label map (--labels) what it means",
            )
    return tuple(f"I-{meaning}" if meaning in inside else OUTSIDE for meaning in meanings), Scheme.IO


def _split(meanings: Sequence[str], form: re.Pattern[str], found: str) -> tuple[tuple[str, ...], Scheme]:
    """Split names into letter and label, letters brought to B, I, L and U."""
    tags, letters = [], set()
    for meaning in meanings:
        parts = form.fullmatch(meaning) if meaning not in _PADDING else None
        if parts is None:
            tags.append(OUTSIDE)
            continue
        letters.add(parts["tag"])
        tags.append(f"{_SAME.get(parts['tag'], parts['tag'])}-{parts['label']}")
    if not letters:
        raise AnnotatorError(f"{found}, so there is nothing to find")
    if letters <= set("BI"):
        return tuple(tags), Scheme.BIO if "B" in letters else Scheme.IO
    if any(letters <= set(known) for known in ("BILU", "BIES", "BMES")):
        return tuple(tags), Scheme.BILOU
    raise AnnotatorError(
        f"{found}: {', '.join(sorted(letters))} together are no scheme that is known (BIO, IO, BILOU, BIOES)"
    )


def _impossible(tags: Sequence[str], scheme: Scheme) -> list[str]:
    """Return the labels of which the scheme allows no mention."""
    letters: dict[str, set[str]] = {}
    for tag in tags:
        if tag != OUTSIDE:
            letters.setdefault(tag[2:], set()).add(tag[0])
    if scheme is Scheme.BIO:
        return [label for label, has in letters.items() if "B" not in has]
    if scheme is Scheme.BILOU:
        return [label for label, has in letters.items() if "U" not in has and not {"B", "L"} <= has]
    return []


def _refuse(wrong: Sequence[str], message: str) -> None:
    if wrong:
        raise AnnotatorError(message.format(_listed(wrong)))


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names) or "none"
