"""One parsed XML element of PubMed's to one citation.

Sources: the NLM documentation of the PubMed DTD, https://www.nlm.nih.gov/bsd/licensee/elements_descriptions.html.
"""

from __future__ import annotations

import datetime as dt
import json
import re
from collections import defaultdict
from dataclasses import fields
from functools import lru_cache
from hashlib import blake2b
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from comention.errors import ComentionError
from comention.types import MAX_PMID, Citation, Correction, DeletedCitation, Journal, Section, Term
from ingest.medline_dates import parse_date
from ingest.medline_text import compose_text, element_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from lxml.etree import _Element

_PMC = re.compile(r"PMC[0-9]+")
_RETRACTED_UI = "D016441"
_RETRACTED_NAME = "Retracted Publication"

_Children = defaultdict[str, list["_Element"]]


class RecordError(ComentionError):
    """A record cannot be used; ``pmid`` names it where it has a PMID that can be read."""

    def __init__(self, reason: str, pmid: int | None = None) -> None:
        """Keep the reason, a clause that completes "the record …"."""
        super().__init__(reason)
        self.pmid = pmid


def parse_article(article: _Element) -> Citation:
    """Read a ``PubmedArticle``, or the ``MedlineCitation`` that stands alone in a legacy ``MedlineCitationSet``.

    Raises:
        RecordError: it has no usable PMID, or no title in any language and no abstract.
    """
    citation = article if article.tag == "MedlineCitation" else article.find("MedlineCitation")
    if citation is None:
        raise RecordError("has no MedlineCitation")
    record = _children(citation)
    pmid, version = _own_pmid(record)
    body = _children(_first(record, "Article"))
    text, sections = compose_text(element_text(_first(body, "ArticleTitle")), _below(body, "Abstract", "AbstractText"))
    vernacular_title = _text(body, "VernacularTitle")
    _require_text(text, vernacular_title, pmid)
    data = None if article is citation else article.find("PubmedData")
    article_ids = _article_ids(_children(data))
    corrections = tuple(_corrections(record))
    publication_types = tuple(_terms(_below(body, "PublicationTypeList", "PublicationType")))
    journal, issue_date = _journal(body, record)
    published = parse_date(issue_date) or parse_date(_first(body, "ArticleDate"))
    return _citation(
        pmid=pmid,
        version=version,
        text=text,
        sections=sections,
        journal=journal,
        published_on=published[0] if published else None,
        published_precision=published[1] if published else None,
        publication_types=publication_types,
        mesh=tuple(_mesh(record)),
        substances=tuple(_substances(record)),
        keywords=tuple(_texts(record, "KeywordList", "Keyword")),
        languages=tuple(_own_texts(body, "Language")),
        vernacular_title=vernacular_title,
        other_abstracts=_other_abstracts(record),
        doi=_doi(body) or article_ids.get("doi"),
        pmc=article_ids.get("pmc") or _legacy_pmc(record),
        corrections=corrections,
        retracted=_is_retracted(publication_types, corrections),
        revised_on=_revised_on(record),
    )


def parse_book_article(article: _Element) -> Citation:
    """Read a ``PubmedBookArticle``: a chapter, whose journal title is the title of its book, or a whole book.

    Raises:
        RecordError: it has no usable PMID, or no title in any language and no abstract.
    """
    document = article.find("BookDocument")
    if document is None:
        raise RecordError("has no BookDocument")
    record = _children(document)
    pmid, version = _own_pmid(record)
    book = _children(_first(record, "Book"))
    book_title = _text(book, "BookTitle")
    title = _text(record, "ArticleTitle") or book_title or ""
    text, sections = compose_text(title, _below(record, "Abstract", "AbstractText"))
    vernacular_title = _text(record, "VernacularTitle")
    _require_text(text, vernacular_title, pmid)
    article_ids = _article_ids(_children(article.find("PubmedBookData"))) | _article_ids(record)
    publication_types = tuple(_terms(record["PublicationType"]))
    published = parse_date(_first(book, "PubDate")) or parse_date(_first(record, "ContributionDate"))
    return _citation(
        pmid=pmid,
        version=version,
        text=text,
        sections=sections,
        journal=Journal(title=book_title),
        published_on=published[0] if published else None,
        published_precision=published[1] if published else None,
        publication_types=publication_types,
        keywords=tuple(_texts(record, "KeywordList", "Keyword")),
        languages=tuple(_own_texts(record, "Language")),
        vernacular_title=vernacular_title,
        doi=article_ids.get("doi"),
        pmc=article_ids.get("pmc"),
        retracted=_is_retracted(publication_types, ()),
        revised_on=_revised_on(record),
    )


def parse_deletion(element: _Element) -> DeletedCitation:
    """Read one ``PMID`` of a ``DeleteCitation``.

    Raises:
        RecordError: it is not a usable PMID.
    """
    pmid, version = parse_pmid(element)
    return DeletedCitation(pmid=pmid, version=version)


def parse_pmid(element: _Element) -> tuple[int, int]:
    """Read a ``PMID`` element: its number and its version.

    Raises:
        RecordError: either is not a whole number from 1 to ``MAX_PMID``.
    """
    pmid = _positive(element.text)
    if pmid is None:
        raise RecordError(f"has the PMID {(element.text or '')[:40]!r}, which is not a number from 1 to {MAX_PMID}")
    version = _positive(element.get("Version", "1"))
    if version is None:
        raise RecordError(f"has the version {element.get('Version', '')[:40]!r}, which is not a positive number", pmid)
    return pmid, version


def _own_pmid(record: _Children) -> tuple[int, int]:
    element = _first(record, "PMID")
    if element is None:
        raise RecordError("has no PMID")
    return parse_pmid(element)


def _require_text(text: str, vernacular_title: str | None, pmid: int) -> None:
    """Refuse a record that says nothing; one with a vernacular title alone is a citation, with an empty text."""
    if not text and not vernacular_title:
        raise RecordError("has no title in any language and no abstract", pmid)


def _positive(text: str | None) -> int | None:
    """Read a whole number from 1 to ``MAX_PMID``, in ASCII digits only."""
    text = text.strip() if text else ""
    if text.isascii() and text.isdecimal() and len(text) <= 10 and 1 <= (number := int(text)) <= MAX_PMID:
        return number
    return None


def _children(element: _Element | None) -> _Children:
    """The children of ``element`` by tag: one walk instead of a search for every field."""
    children: _Children = defaultdict(list)
    for child in element if element is not None else ():
        children[child.tag].append(child)
    return children


def _first(children: _Children, tag: str) -> _Element | None:
    found = children.get(tag)
    return found[0] if found else None


def _below(children: _Children, parent: str, tag: str) -> Iterator[_Element]:
    for element in children.get(parent, ()):
        yield from element.iterchildren(tag)


def _text(children: _Children, tag: str) -> str | None:
    return element_text(_first(children, tag)) or None


def _own_texts(children: _Children, tag: str) -> Iterator[str]:
    return filter(None, map(element_text, children.get(tag, ())))


def _texts(children: _Children, parent: str, tag: str) -> Iterator[str]:
    return filter(None, map(element_text, _below(children, parent, tag)))


def _terms(elements: Iterator[_Element] | list[_Element]) -> Iterator[Term]:
    for element in elements:
        if name := element_text(element):
            yield _term(name, element.get("UI"))


# The same few thousand terms come again and again, and looking one up is five times as fast as making it.
@lru_cache(maxsize=1 << 14)
def _term(
    name: str,
    ui: str | None,
    major: bool = False,
    qualifiers: tuple[str, ...] = (),
    registry_number: str | None = None,
) -> Term:
    return Term(name=name, ui=ui, major=major, qualifiers=qualifiers, registry_number=registry_number)


def _mesh(record: _Children) -> Iterator[Term]:
    """MeSH headings; a heading is a major topic where its descriptor or any of its qualifiers is marked as one."""
    for heading in _below(record, "MeshHeadingList", "MeshHeading"):
        name, ui, major = "", None, False
        qualifiers: list[str] = []
        for element in heading:
            if element.get("MajorTopicYN") == "Y":
                major = True
            if element.tag == "DescriptorName":
                name, ui = element_text(element), element.get("UI")
            else:
                qualifiers.append(element_text(element))
        if name:
            yield _term(name, ui, major, tuple(qualifiers))


def _substances(record: _Children) -> Iterator[Term]:
    """Substances; the registry number ``0`` of PubMed says that there is none."""
    for chemical in _below(record, "ChemicalList", "Chemical"):
        name, ui, number = "", None, ""
        for element in chemical:
            if element.tag == "NameOfSubstance":
                name, ui = element_text(element), element.get("UI")
            elif element.tag == "RegistryNumber":
                number = element_text(element)
        if name:
            yield _term(name, ui, registry_number=number if number not in ("", "0") else None)


def _journal(body: _Children, record: _Children) -> tuple[Journal, _Element | None]:
    """The journal, and the ``PubDate`` of the issue, which lies within it."""
    journal = _children(_first(body, "Journal"))
    issue = _children(_first(journal, "JournalIssue"))
    info = _children(_first(record, "MedlineJournalInfo"))
    pagination = _children(_first(body, "Pagination"))
    described = Journal(
        title=_text(journal, "Title"),
        abbreviation=_text(journal, "ISOAbbreviation") or _text(info, "MedlineTA"),
        issn=_text(journal, "ISSN") or _text(info, "ISSNLinking"),
        nlm_id=_text(info, "NlmUniqueID"),
        volume=_text(issue, "Volume"),
        issue=_text(issue, "Issue"),
        pages=_text(pagination, "MedlinePgn")
        or "-".join(filter(None, (_text(pagination, "StartPage"), _text(pagination, "EndPage"))))
        or None,
    )
    return described, _first(issue, "PubDate")


def _other_abstracts(record: _Children) -> dict[str, str]:
    """Abstracts in other languages or by others, by language; several of one language are joined by a newline."""
    abstracts: dict[str, str] = {}
    for element in record.get("OtherAbstract", ()):
        text = compose_text("", element.iterchildren("AbstractText"))[0].lstrip("\n")
        if text:
            language = element.get("Language", "eng")
            abstracts[language] = f"{abstracts[language]}\n{text}" if language in abstracts else text
    return abstracts


def _corrections(record: _Children) -> Iterator[Correction]:
    for element in _below(record, "CommentsCorrectionsList", "CommentsCorrections"):
        pmid, source = None, ""
        for child in element:
            if child.tag == "PMID":
                pmid = _positive(child.text)
            elif child.tag == "RefSource":
                source = element_text(child)
        yield Correction(kind=element.get("RefType", ""), pmid=pmid, source=source or None)


def _is_retracted(publication_types: tuple[Term, ...], corrections: tuple[Correction, ...]) -> bool:
    return any(term.ui == _RETRACTED_UI or term.name == _RETRACTED_NAME for term in publication_types) or any(
        correction.kind == "RetractionIn" for correction in corrections
    )


def _article_ids(record: _Children) -> dict[str, str]:
    """Identifiers of the article itself by kind (``doi``, ``pmc``, …); those of its references lie deeper."""
    identifiers: dict[str, str] = {}
    for element in _below(record, "ArticleIdList", "ArticleId"):
        if text := element_text(element):
            identifiers.setdefault(element.get("IdType", "pubmed"), text)
    return identifiers


def _doi(body: _Children) -> str | None:
    for element in body.get("ELocationID", ()):
        if element.get("EIdType") == "doi" and element.get("ValidYN", "Y") == "Y" and (doi := element_text(element)):
            return doi
    return None


def _legacy_pmc(record: _Children) -> str | None:
    """The PMC id of a record without ``PubmedData``: an ``OtherID`` such as ``PMC1234567 [Available on 01/01/16]``."""
    for text in _own_texts(record, "OtherID"):
        if found := _PMC.match(text):
            return found[0]
    return None


def _revised_on(record: _Children) -> dt.date | None:
    for tag in ("DateRevised", "DateCompleted", "DateCreated"):
        if revised := parse_date(_first(record, tag)):
            return revised[0]
    return None


def _citation(**values: Any) -> Citation:
    """A citation of these fields and the two hashes over them."""
    # A category only names a section once more: NLM adds it later, and nothing has to be annotated again for that.
    outline = [[section.label, section.start_char, section.end_char] for section in values["sections"]]
    content_hash = _digest(_CANONICAL.encode([values["text"], outline]))
    # The hash of the text stands for the text, and is shorter.
    known = values | {"text": content_hash.hex()}
    parts = [
        f"{name}{_RECORD}{value if type(value) is str else _flat(value)}" for name, value in known.items() if value
    ]
    record_hash = _digest(_RECORD.join(parts))
    return Citation(**values, content_hash=content_hash, record_hash=record_hash)


def _digest(text: str) -> bytes:
    """The 16-byte blake2b of a text."""
    return blake2b(text.encode(), digest_size=16).digest()


_CANONICAL = json.JSONEncoder(ensure_ascii=False, check_circular=False, separators=(",", ":"))

# XML can hold none of these characters: values joined by them can be told apart. JSON would take five times as long.
_RECORD, _GROUP, _UNIT, _ITEM = "\x1e", "\x1d", "\x1f", "\x1c"


def _flat(value: Any) -> str:
    """A field of a citation as one line."""
    if type(value) is tuple:
        return _GROUP.join([_FLAT[type(item)](item) for item in value])
    return _FLAT.get(type(value), str)(value)


def _flat_term(term: Term) -> str:
    qualifiers = _ITEM.join(term.qualifiers)
    return f"{term.name}{_UNIT}{term.ui}{_UNIT}{term.major}{_UNIT}{qualifiers}{_UNIT}{term.registry_number}"


def _flat_fields(value: Correction | Journal | Section) -> str:
    return _UNIT.join(map(str, _FIELDS_OF[type(value)](value)))


def _flat_mapping(value: Mapping[str, str]) -> str:
    return _GROUP.join(f"{name}{_UNIT}{value[name]}" for name in sorted(value))


_FIELDS_OF = {kind: attrgetter(*(field.name for field in fields(kind))) for kind in (Correction, Journal, Section)}
_FLAT: dict[type, Callable[[Any], str]] = {
    str: str,
    dict: _flat_mapping,
    Term: _flat_term,
    Correction: _flat_fields,
    Journal: _flat_fields,
    Section: _flat_fields,
}
