"""What the stand-in for NCBI serves: made-up citations, and the part of PubMed's query language that finds them."""

from __future__ import annotations

import datetime as dt
import html
import random
import re
from collections.abc import Iterable
from dataclasses import dataclass

_DRUGS = ("carbamazepine", "valproate", "lithium", "clozapine", "amiodarone", "methotrexate", "warfarin", "ibuprofen")
_CONDITIONS = ("rash", "agranulocytosis", "hepatitis", "tremor", "pneumonitis", "haemorrhage", "nausea", "syncope")
_FIELDS = {"all fields", "tiab", "title", "title/abstract", "uid", "pmid"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Article:
    """One made-up citation. ``revision`` stands in its abstract, so that a changed record is a different text."""

    pmid: int
    entrez_date: dt.date
    title: str
    abstract: str
    revision: int = 1
    modified: dt.date | None = None
    """The day of its last change, where that is not its Entrez date."""

    @property
    def modification_date(self) -> dt.date:
        """The day that ``mdat`` counts by."""
        return self.modified or self.entrez_date

    @property
    def text(self) -> str:
        """What a search looks through."""
        return f"{self.title} {self.abstract}".lower()

    def xml(self) -> str:
        """The citation as EFetch writes it."""
        day, changed = self.entrez_date, self.modification_date
        return (
            f'<PubmedArticle><MedlineCitation Status="MEDLINE" Owner="NLM"><PMID Version="1">{self.pmid}</PMID>'
            f"<DateRevised><Year>{changed.year}</Year><Month>{changed.month:02}</Month><Day>{changed.day:02}</Day>"
            "</DateRevised>"
            '<Article PubModel="Print"><Journal><ISSN IssnType="Print">0000-0000</ISSN>'
            '<JournalIssue CitedMedium="Print">'
            f"<PubDate><Year>{day.year}</Year></PubDate></JournalIssue>"
            "<Title>Journal of Made-up Cases</Title></Journal>"
            f"<ArticleTitle>{html.escape(self.title)}</ArticleTitle>"
            f"<Abstract><AbstractText>{html.escape(self.abstract)} Revision {self.revision}.</AbstractText></Abstract>"
            '<Language>eng</Language><PublicationTypeList><PublicationType UI="D016428">Journal Article'
            "</PublicationType></PublicationTypeList></Article></MedlineCitation>"
            '<PubmedData><PublicationStatus>ppublish</PublicationStatus><ArticleIdList><ArticleId IdType="pubmed">'
            f"{self.pmid}</ArticleId></ArticleIdList></PubmedData></PubmedArticle>"
        )


def make_articles(
    count: int,
    *,
    first_pmid: int = 1,
    first_day: dt.date = dt.date(2001, 1, 1),
    days: int = 9_000,
    seed: int = 0,
) -> list[Article]:
    """``count`` citations with consecutive PMIDs, their Entrez dates spread at random over ``days`` days."""
    chance = random.Random(seed)
    articles = []
    for pmid in range(first_pmid, first_pmid + count):
        drug, condition = chance.choice(_DRUGS), chance.choice(_CONDITIONS)
        articles.append(
            Article(
                pmid=pmid,
                entrez_date=first_day + dt.timedelta(days=chance.randrange(days)),
                title=f"{condition.capitalize()} after {drug}: case {pmid}.",
                abstract=f"A patient took {drug}. {condition.capitalize()} appeared within "
                f"{chance.randrange(2, 30)} days (p < 0.05).",
            )
        )
    return articles


class Query:
    """The part of PubMed's query language that tests need: ``AND`` of words, "phrases", ``1:5[uid]``, ``all[sb]``."""

    def __init__(self, term: str) -> None:
        self.unknown_fields: list[str] = []
        self._ranges: list[tuple[int, int]] = []
        self._words: list[str] = []
        self._phrases: list[str] = []
        for part in re.split(r"\s+AND\s+", term.replace("(", "").replace(")", "")):
            text, _, name = part.strip().rstrip("]").partition("[")
            text, name = text.strip().lower(), name.lower()
            bounds = re.fullmatch(r"(\d+):(\d+)", text)
            if name in {"uid", "pmid"} and bounds:
                self._ranges.append((int(bounds[1]), int(bounds[2])))
                continue
            if (text, name) == ("all", "sb"):
                continue
            if name and name not in _FIELDS:
                self.unknown_fields.append(name)
            (self._phrases if text.startswith('"') else self._words).append(text.strip('"'))

    def matches(self, article: Article) -> bool:
        """Whether a search lists ``article``."""
        if not all(first <= article.pmid <= last for first, last in self._ranges):
            return False
        text = article.text
        # Without its quotes a phrase is searched word by word, as PubMed does with one it does not know.
        words = [word for words in (*self._words, *self._phrases) for word in words.split()]
        return all(word in text for word in words)

    def unknown_words(self, articles: Iterable[Article]) -> list[str]:
        """The words that none of ``articles`` has."""
        texts = [article.text for article in articles]
        return [word for word in self._words if not any(word in text for text in texts)]

    def unknown_phrases(self, articles: Iterable[Article]) -> list[str]:
        """The quoted phrases that none of ``articles`` has as a whole."""
        if not self._phrases:
            return []
        texts = [article.text for article in articles]
        return [f'"{phrase}"' for phrase in self._phrases if not any(phrase in text for text in texts)]
