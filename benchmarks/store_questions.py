"""What the benchmark of the store asks, as analysts would, and how long it takes."""

from __future__ import annotations

import random
import statistics
import time
from collections import defaultdict
from collections.abc import Callable

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
Questions = dict[str, dict[str, list[tuple[str, ...]]]]
"""Question -> rank it is asked at -> arguments."""

Times = dict[str, dict[str, list[float]]]
"""The same with milliseconds."""


def make_questions(store: Store) -> Questions:
    """What to ask, drawn by rank: the head, the middle and the rare end of what is in the counts."""
    chance = random.Random(11)
    with connect(store.database) as connection:
        drugs, conditions = (
            [str(row[0]) for row in connection.execute(
                f"SELECT k.key FROM comention.cooccurrence_total t JOIN comention.concept k ON k.id = t.{one}_id "
                f"WHERE t.{other}_id = 0 AND t.{one}_id > 0 ORDER BY t.citation_count DESC, k.id".encode()
            )]
            for one, other in (("drug", "condition"), ("condition", "drug"))
        )  # fmt: skip
        ranks: dict[str, Callable[[list[str]], list[str]]] = {
            "head": lambda names: names[:20],
            "middle": lambda names: names[len(names) // 50 : len(names) // 10],
            "rare": lambda names: names[len(names) // 2 :],
        }
        questions: Questions = defaultdict(dict)
        drawn: list[tuple[str, ...]]
        known: list[tuple[str, ...]]
        for rank, choose in ranks.items():
            mine = chance.choices(choose(drugs), k=CALLS)
            questions["top"][rank] = [(drug,) for drug in mine]
        pairs = {
            "head x head": ("head", "head"),
            "head x rare": ("head", "rare"),
            "middle x middle": ("middle", "middle"),
            "rare x head": ("rare", "head"),
        }
        for rank, (first, second) in pairs.items():
            drawn = list(
                zip(
                    chance.choices(ranks[first](drugs), k=CALLS),
                    chance.choices(ranks[second](conditions), k=CALLS),
                    strict=True,
                )
            )
            questions["pair"][rank] = drawn
            questions["evidence"][rank] = drawn
        # Pairs that exist, of whatever rank: most of those drawn above from the rare end do not.
        known = [
            (str(row[0]), str(row[1]))
            for row in connection.execute(
                "SELECT d.key, k.key FROM comention.cooccurrence_total t TABLESAMPLE BERNOULLI (10) REPEATABLE (1) "
                "JOIN comention.concept d ON d.id = t.drug_id JOIN comention.concept k ON k.id = t.condition_id "
                "WHERE t.drug_id > 0 AND t.condition_id > 0 LIMIT 5000"
            )
        ]
        questions["pair"]["known"] = questions["evidence"]["known"] = chance.choices(known, k=CALLS)
    names = [name.text for name in store.corpus.names if name.label < 2]
    for rank, choose in ranks.items():
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
