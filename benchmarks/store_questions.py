"""What the benchmark of the store asks, as analysts would, and how long it takes."""

from __future__ import annotations

import random
import statistics
import time
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import psycopg

from benchmarks.store_home import Store, connect

CALLS = 80
"""Calls of a question at each rank it is asked at."""

_QUERIES = {
    "top": "SELECT * FROM analysis.top_conditions(%s)",
    "pair": "SELECT * FROM analysis.pair(%s, %s)",
    "evidence": "SELECT * FROM analysis.evidence(%s, %s)",
    "suggest": "SELECT * FROM analysis.suggest(%s)",
    "search": "SELECT * FROM analysis.search_sentences(%s)",
}
_RANKS: dict[str, Callable[[list[Any]], list[Any]]] = {
    "head": lambda names: names[:20],
    "middle": lambda names: names[len(names) // 50 : len(names) // 10],
    "rare": lambda names: names[len(names) // 2 :],
}
"""Which of what is ordered by frequency."""

Questions = dict[str, dict[str, list[tuple[str, ...]]]]
"""Question -> rank it is asked at -> arguments."""

Times = dict[str, dict[str, list[float]]]
"""The same with milliseconds."""


def make_questions(store: Store) -> Questions:
    """What to ask, drawn by rank: the head, the middle and the rare end of what is in the counts."""
    chance = random.Random(11)
    with connect(store.database) as connection:
        drugs, conditions = (
            [int(str(row[0])) for row in connection.execute(
                f"SELECT t.{one}_id FROM comention.cooccurrence_total t "
                f"WHERE t.{other}_id = 0 AND t.{one}_id > 0 ORDER BY t.citation_count DESC, t.{one}_id".encode()
            )]
            for one, other in (("drug", "condition"), ("condition", "drug"))
        )  # fmt: skip
        keys = {int(str(row[0])): str(row[1]) for row in connection.execute("SELECT id, key FROM comention.concept")}
        questions: Questions = defaultdict(dict)
        for rank, choose in _RANKS.items():
            questions["top"][rank] = [(keys[drug],) for drug in chance.choices(choose(drugs), k=CALLS)]
        for rank, found in _choose_pairs(connection, chance, drugs, conditions).items():
            if found:  # a small corpus has no pair of two rare names
                questions["pair"][rank] = questions["evidence"][rank] = [
                    (keys[drug], keys[condition]) for drug, condition in chance.choices(found, k=CALLS)
                ]
    names = [name.text for name in store.corpus.names if name.label < 2]
    for rank, choose in _RANKS.items():
        questions["suggest"][rank] = [(chance.choice(choose(names))[: 1 + call % 8],) for call in range(CALLS)]
    words = store.corpus.words
    frequent, middle, rare = words[5:60], words[500:3000], words[20_000:]
    batch = store.corpus.batch(0)
    phrases = [" ".join(text.split("\n", 1)[1].rstrip(".").split(" ")[1:3]) for text in batch.texts]
    questions["search"] = {
        "frequent word": [(word,) for word in chance.choices(frequent, k=CALLS)],
        "rare word": [(word,) for word in chance.choices(rare, k=CALLS)],
        "two words": [
            (f"{one} {two}",)
            for one, two in zip(chance.choices(frequent, k=CALLS), chance.choices(middle, k=CALLS), strict=True)
        ],
        "phrase": [(f'"{phrase}"',) for phrase in chance.choices(phrases, k=CALLS)],
    }
    return questions


def _choose_pairs(
    connection: psycopg.Connection[tuple[object, ...]], chance: random.Random, drugs: list[int], conditions: list[int]
) -> dict[str, list[tuple[int, int]]]:
    """Pairs that are in the counts, by the ranks of the two or of whatever ranks, and pairs that are not.

    Of two names drawn on their own few have a sentence in common, and the more the larger the corpus is: what would grow with
    it is the share of questions that have an answer.
    """

    def pairs(statement: str, *arguments: list[int]) -> list[tuple[int, int]]:
        return [(int(str(row[0])), int(str(row[1]))) for row in connection.execute(statement.encode(), arguments)]

    known = "SELECT t.drug_id, t.condition_id FROM comention.cooccurrence_total t"
    found = {
        f"{first} x {second}": pairs(
            f"{known} WHERE t.drug_id = ANY (%s) AND t.condition_id = ANY (%s) ORDER BY 1, 2",
            _RANKS[first](drugs),
            _RANKS[second](conditions),
        )
        for first, second in (("head", "head"), ("head", "rare"), ("middle", "middle"), ("rare", "head"))
    }
    found["known"] = pairs(
        f"{known} TABLESAMPLE BERNOULLI (10) REPEATABLE (1) WHERE t.drug_id > 0 AND t.condition_id > 0 "
        "ORDER BY hashint8(t.drug_id::bigint << 32 | t.condition_id) LIMIT 5000"
    )
    drawn = list(zip(chance.choices(drugs, k=5 * CALLS), chance.choices(conditions, k=5 * CALLS), strict=True))
    there = pairs(
        f"{known} JOIN unnest(%s::integer[], %s::integer[]) w (drug_id, condition_id) USING (drug_id, condition_id)",
        *(list(column) for column in zip(*drawn, strict=True)),
    )
    found["unknown"] = sorted({*drawn} - {*there})
    return found


def ask(
    connection: psycopg.Connection[tuple[object, ...]],
    questions: Questions,
    *,
    warm: bool = True,
    until: Callable[[], bool] | None = None,
) -> Times:
    """Ask everything in a mixed order, once to warm up and once by the clock; with ``until``, again and again."""
    everything = [
        (kind, rank, call) for kind, ranks in questions.items() for rank, calls in ranks.items() for call in calls
    ]
    random.Random(5).shuffle(everything)
    times: Times = defaultdict(lambda: defaultdict(list))
    if warm:
        for kind, _, call in everything:
            connection.execute(_QUERIES[kind].encode(), call).fetchall()
    while True:
        for kind, rank, call in everything:
            began = time.perf_counter()
            connection.execute(_QUERIES[kind].encode(), call).fetchall()
            times[kind][rank].append(1000 * (time.perf_counter() - began))
            if until is not None and until():
                return times
        if until is None:
            return times


def percentiles(times: dict[str, list[float]]) -> tuple[float, float]:
    """Median and 95th percentile over all ranks, in milliseconds."""
    cuts = statistics.quantiles([value for values in times.values() for value in values], n=20, method="inclusive")
    return cuts[9], cuts[18]


def print_ranks(times: Times, title: str) -> None:
    """Print median, 95th percentile and maximum of each question at each rank."""
    print(f"\n{title:<34} {'calls':>6} {'p50 ms':>8} {'p95 ms':>8} {'max ms':>8}")
    for kind, ranks in times.items():
        for rank, values in ranks.items():
            if len(values) < 2:
                continue
            p50, p95 = percentiles({rank: values})
            print(f"  {kind:<10} {rank:<21} {len(values):6} {p50:8.2f} {p95:8.2f} {max(values):8.1f}")
