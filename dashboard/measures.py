"""The measures of a pair, in words: what stands in the tooltips, in one place."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Measure:
    """A measure: the key that a ranking is asked for by, its short and its full name, and what it says."""

    key: str
    short: str
    name: str
    meaning: str


MEASURES = {
    one.key: one
    for one in (
        Measure("citations", "Citations", "Citations", "Citations with at least one sentence that mentions both."),
        Measure("sentences", "Sentences", "Sentences", "Sentences that mention both."),
        Measure(
            "ic", "IC025", "Information component, lower limit",
            "Observed over expected sentences in bits, shrunk towards 0 where there is little, less its 95 % interval. Above 0 "
            "the two stand together more often than chance explains; the surest measure to sort by.",
        ),
        Measure(
            "npmi", "NPMI", "Normalised pointwise mutual information",
            "How closely the two are tied, from −1 (never together) over 0 (independent) to 1 (only together). Takes no "
            "account of how few sentences there are.",
        ),
        Measure(
            "g2", "G²", "Signed log-likelihood ratio",
            "How surprising the count would be if the two were independent; negative where they meet less often than expected. "
            "Above 9.55 is p < 0.001, one-sided.",
        ),
        Measure(
            "prr", "PRR", "Proportional reporting ratio",
            "The share of the drug’s sentences that mention the condition, over that share in all other sentences. With its "
            "95 % confidence interval.",
        ),
        Measure(
            "ror", "ROR", "Reporting odds ratio",
            "Odds of the condition in sentences with the drug over the odds without. With its 95 % confidence interval; sorted "
            "by its lower limit.",
        ),
        Measure(
            "expected", "Expected", "Expected sentences",
            "Sentences that would mention both if the two were independent: sentences of the drug times sentences of the "
            "condition, over all annotated sentences.",
        ),
        Measure(
            "chi", "χ²", "Chi square with Yates’ correction",
            "In either direction: read it together with a ratio above 1. 4 or more is one of the usual criteria of a signal.",
        ),
        Measure(
            "score", "Score", "Co-occurrence score",
            "How often the two stand together, weighed with how much more often than expected. It ranks the pairs of one "
            "database and is no test.",
        ),
        Measure("years", "Years", "First and last year", "Years of the earliest and the latest citation that mention both."),
        Measure(
            "trend", "Trend", "Citations by year",
            "Citations by year of publication; all rows have the same years, each its own height.",
        ),
    )
}  # fmt: skip
"""The measures by their keys."""
