"""How results look in the terminal: pairs as a table, evidence with both spans highlighted."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterable, Sequence

from rich import box
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from storage.comparisons import ComparedCondition, Trend
from storage.queries import Evidence, FoundSentence, Pair
from storage.runs import IngestCounts

DRUG_STYLE = "bold cyan"
CONDITION_STYLE = "bold magenta"
FOUND_STYLE = "bold yellow"

_BIDI_CONTROLS = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def inert(text: str) -> str:
    """Replace control characters one for one, so that no text of an abstract can steer a terminal; offsets hold."""
    return "".join(
        "\ufffd" if character in _BIDI_CONTROLS or unicodedata.category(character) == "Cc" else character
        for character in text
    )


def pairs_table(pairs: Iterable[Pair], *, title: str, width: int) -> Table:
    """Build the table of pairs, in the order given; on a terminal of few columns some measures are left out, none is cut."""
    table = Table(title=title, title_justify="left", header_style="bold", box=box.SIMPLE_HEAD, collapse_padding=True)
    room = width >= 78
    table.add_column("drug", style=DRUG_STYLE, overflow="fold", min_width=13 if room else None)
    table.add_column("condition", style=CONDITION_STYLE, overflow="fold", min_width=17 if room else None)
    measures: dict[str, Callable[[Pair], str]] = {"citations": lambda pair: f"{pair.citation_count:,}"}
    if width >= 56:
        measures["sentences"] = lambda pair: f"{pair.sentence_count:,}"
    if width >= 48:
        measures["NPMI"] = lambda pair: _number(pair.npmi)
    if room:
        measures["G²"] = lambda pair: _number(pair.log_likelihood_ratio, digits=1)
        measures["years"] = _years
    for heading in measures:
        table.add_column(heading, justify="right", no_wrap=True)
    for pair in pairs:
        table.add_row(
            Text(inert(pair.drug)), Text(inert(pair.condition)), *(measure(pair) for measure in measures.values())
        )
    return table


def _number(value: float | None, *, digits: int = 2) -> str:
    return "–" if value is None else f"{value:,.{digits}f}"


def _years(pair: Pair) -> str:
    if pair.first_year is None:
        return "–"
    return str(pair.first_year) if pair.first_year == pair.last_year else f"{pair.first_year}–{pair.last_year}"


def evidence_list(evidence: Sequence[Evidence]) -> RenderableType:
    """Build the list of sentences, each with its source and both spans highlighted."""
    lines: list[RenderableType] = []
    for item in evidence:
        source = Text(f"PMID {item.pmid}", style="bold")
        for part in (str(item.year or ""), item.section.capitalize(), item.title):
            if part:
                source.append(f" · {inert(part)}", style="dim")
        source.no_wrap, source.overflow = True, "ellipsis"
        lines.extend([source, Padding(highlighted(item), (0, 0, 1, 2))])
    return Group(*lines)


def highlighted(item: Evidence) -> Text:
    """Return the sentence with its drug and condition spans in their colours."""
    sentence = Text(inert(item.text))
    for spans, style in ((item.drug_spans, DRUG_STYLE), (item.condition_spans, CONDITION_STYLE)):
        for start, end in spans:
            sentence.stylize(style, start, end)
    return sentence


def found_table(sentences: Iterable[FoundSentence], *, width: int) -> Table:
    """Build the table of sentences that a search finds, its words highlighted; on a narrow terminal sections are left out."""
    table = Table(header_style="bold", box=box.SIMPLE_HEAD, collapse_padding=True)
    table.add_column("PMID", justify="right", no_wrap=True)
    table.add_column("year", no_wrap=True)
    if width >= 78:
        table.add_column("section", overflow="fold", max_width=16)
    table.add_column("sentence", overflow="fold", ratio=1)
    for one in sentences:
        sentence = Text(inert(one.text))
        for start, end in one.spans:
            sentence.stylize(FOUND_STYLE, start, end)
        if one.retracted:
            sentence.append(" (retracted)", style="red")
        section = [Text(inert(one.section.capitalize()))] if width >= 78 else []
        table.add_row(str(one.pmid), str(one.year or "–"), *section, sentence)
    return table


_BARS = "▁▂▃▄▅▆▇█"


def sparkline(values: Sequence[int]) -> str:
    """Draw one bar a value, the highest for the largest; a blank stands for zero, so that one and none look different."""
    most = max(values, default=0)
    return "".join(_BARS[(value * len(_BARS) - 1) // most] if value else " " for value in values)


def trend_list(trend: Trend, *, width: int) -> RenderableType:
    """Build the sparkline of citations, in lines that the terminal has room for, and below it the table of years."""
    stated = [one for one in trend.years if one.year is not None]
    lines: list[RenderableType] = []
    bars = sparkline([one.citation_count for one in stated])
    room = max(10, width - 14)
    for first in range(0, len(stated), room):
        part = stated[first : first + room]
        lines.append(Text(f"{part[0].year} {bars[first : first + room]} {part[-1].year}", no_wrap=True))
    table = Table(header_style="bold", box=box.SIMPLE_HEAD, collapse_padding=True)
    for heading in ("year", "citations", "sentences"):
        table.add_column(heading, justify="right", no_wrap=True)
    for one in trend.years:
        table.add_row(str(one.year or "not stated"), f"{one.citation_count:,}", f"{one.sentence_count:,}")
    title = Text(inert(f"{trend.drug} and {trend.condition}, citations by year"), style="italic")
    return Group(title, Text(), *lines, table)


def comparison_table(conditions: Iterable[ComparedCondition], *, first: str, second: str, title: str) -> Table:
    """Build the table of two drugs side by side; a dash where a drug never stands with the condition."""
    table = Table(title=title, title_justify="left", header_style="bold", box=box.SIMPLE_HEAD, collapse_padding=True)
    table.add_column("condition", style=CONDITION_STYLE, overflow="fold", min_width=13)
    for measure in ("citations", "sentences", "NPMI"):
        for drug in (first, second):
            table.add_column(Text(f"{measure}\n{inert(drug)}"), justify="right", overflow="fold")
    for one in conditions:
        table.add_row(
            Text(inert(one.condition)),
            *(
                f"{value:,}" if value else "–"
                for value in (
                    one.first_citation_count,
                    one.second_citation_count,
                    one.first_sentence_count,
                    one.second_sentence_count,
                )
            ),
            _number(one.first_npmi),
            _number(one.second_npmi),
        )
    return table


def counts_sentence(counts: IngestCounts) -> str:
    """Say in one sentence what became of the records, leaving out what did not occur."""
    parts = [f"{value:,} {name}" for name, value in counts.by_outcome().items() if value]
    return f"{counts.read:,} record{'s' * (counts.read > 1)} read: {', '.join(parts)}" if parts else "no record read"
