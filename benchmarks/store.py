"""Measure the store: what analysts ask, how fast mentions are written, both at once, and the room it takes.

    python -m benchmarks.store [--mentions N] [--home FOLDER] [--only GROUP …] [--growth] [--soak MINUTES]

A made corpus (`benchmarks.store_corpus`) is brought into an embedded Postgres with the settings that the product uses.
Questions go over one connection of this process, warm, each at least 200 times, over drugs and conditions from the
head, the middle and the rare end of their distribution; the table gives the median and the 95th percentile in
milliseconds. Writers are two processes that save what an annotator would have returned, made beforehand, on the way
that `comention annotate` goes: names, ledger, mentions, deltas, all constraints on, the deltas folded every two
seconds. Their speed is given by the clock and for two seconds of processor time, Postgres included, which is what two
cores do that have nothing else to do. Exit status 1 where a target is missed.

With ``--home`` the database is kept and found again. ``--growth`` builds a tenth of the corpus too and compares.
"""

from __future__ import annotations

import argparse
import multiprocessing
import multiprocessing.synchronize
import os
import random
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg

from benchmarks.store_corpus import BATCH, MENTIONS_A_CITATION, Corpus
from benchmarks.store_load import check_load, load_corpus, load_owed, mentions_of
from comention.types import Mention, SentenceAnnotation
from pipeline.annotate_stage import FOLD_AFTER
from storage.annotations import AnnotatedCitation, PendingCitation, list_pending, save_annotations
from storage.cooccurrence import fold_counts
from storage.database import Database, parse_url
from storage.embedded import EmbeddedPostgres
from storage.migrate import upgrade
from storage.names import NameTable

GROUPS = ("queries", "write", "size", "layout")
TARGETS = {
    "top": ("top-20 conditions of a drug", 2.0, 10.0),
    "pair": ("a pair with statistics", None, 5.0),
    "evidence": ("first 20 evidence sentences", None, 25.0),
    "suggest": ("suggest by prefix", None, 15.0),
    "search": ("full-text search, first 20", None, 100.0),
}
TARGET_WRITES = 25_000
TARGET_BUSY = 3.0
TARGET_GROWTH = 1.5
TARGET_BYTES = 120
BYTES_FROM = 10_000_000
"""Mentions from which on the target for bytes holds."""

CALLS = 80
"""Calls of a question at each rank it is asked at."""

SAVE_CITATIONS = 256
"""Citations a transaction, as `annotate_pending` has it."""

_QUERIES = {
    "top": "SELECT * FROM analysis.top_conditions(%s)",
    "pair": "SELECT * FROM analysis.pair(%s, %s)",
    "evidence": "SELECT * FROM analysis.evidence(%s, %s)",
    "suggest": "SELECT * FROM analysis.suggest(%s)",
    "search": "SELECT * FROM analysis.search_sentences(%s)",
}
_COUNTED = (
    "citation_mentions", "annotation", "name", "concept", "cooccurrence_count", "cooccurrence_total", "cooccurrence_delta",
)  # fmt: skip
_BESIDE = ("citation", "section", "sentence", "sentence_text", "unindexed_citation")

Questions = dict[str, dict[str, list[tuple[str, ...]]]]
"""Question -> rank it is asked at -> arguments."""

Times = dict[str, dict[str, list[float]]]
"""The same with milliseconds."""

Row = tuple[str, str, str, bool]
"""What, measured, target, met."""


@dataclass(frozen=True, slots=True)
class Store:
    """A database with its corpus."""

    database: Database
    corpus: Corpus
    home: Path


@contextmanager
def open_store(home: Path, mentions: int, processes: int) -> Iterator[Store]:
    """Open the database of a home, and fill it where it is empty."""
    citations = max(BATCH, round(mentions / MENTIONS_A_CITATION / BATCH) * BATCH)
    with EmbeddedPostgres(home) as server:
        database = Database(parse_url(server.url, connect_timeout=10))
        try:
            upgrade(database)
            corpus = Corpus(citations)
            with database.transaction() as connection:
                found = connection.exec_driver_sql("SELECT count(*) FROM comention.citation").scalar_one()
            if not found:
                began = time.monotonic()
                load_corpus(database, corpus, owed=0, processes=processes)
                print(f"{mentions:,} mentions loaded in {time.monotonic() - began:,.0f} s", file=sys.stderr)
                check_load(database, corpus)
            elif found < citations:
                raise SystemExit(f"{home} holds {found:,} citations, not the {citations:,} of --mentions {mentions}")
            yield Store(database, corpus, home)
        finally:
            database.close()


def connect(database: Database) -> psycopg.Connection[tuple[object, ...]]:
    """A connection as a client has it: statements of its own, each a transaction."""
    url = database.url.set(drivername="postgresql").render_as_string(hide_password=False)
    return psycopg.connect(url, autocommit=True)


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


def judge_queries(times: Times) -> list[Row]:
    """Compare with the targets."""
    rows = []
    for kind, (title, target50, target95) in TARGETS.items():
        p50, p95 = percentiles(times[kind])
        if target50 is not None:
            rows.append((f"{title}, p50", f"{p50:.2f} ms", f"<= {target50:g} ms", p50 <= target50))
        rows.append((f"{title}, p95", f"{p95:.2f} ms", f"<= {target95:g} ms", p95 <= target95))
    return rows


@dataclass(frozen=True, slots=True)
class Written:
    """What a writer did: mentions, seconds of the clock from the common start, seconds of processor time."""

    mentions: int
    seconds: float
    processor: float


@dataclass(frozen=True, slots=True)
class Speed:
    """Mentions a second: by the clock, and for two seconds of processor time, Postgres included."""

    clock: float
    cores: float


def write(store: Store, mentions: int, *, beside: Callable[[Callable[[], bool]], None] | None = None) -> Speed:
    """Annotate what is owed, in two processes, and return how fast; ``beside`` runs meanwhile."""
    owed = max(2, round(mentions / MENTIONS_A_CITATION / BATCH))
    with store.database.transaction() as connection:
        known = connection.exec_driver_sql("SELECT count(*) FROM comention.citation").scalar_one()
    numbers = list(range(known // BATCH, known // BATCH + owed))
    load_owed(store.database, store.corpus, numbers)
    context = multiprocessing.get_context("spawn")
    start = context.Barrier(3)
    results: multiprocessing.Queue[Written | str] = context.Queue()
    url = store.database.url.render_as_string(hide_password=False)
    writers = [
        context.Process(
            target=_write, args=(url, store.corpus.citations, numbers[place::2], start, results), daemon=True
        )
        for place in range(2)
    ]
    for writer in writers:
        writer.start()
    start.wait()
    before = postgres_seconds(store.home)
    done: list[Written] = []

    def finished() -> bool:
        while not results.empty():
            outcome = results.get()
            if isinstance(outcome, str):
                raise SystemExit(f"a writer failed: {outcome}")
            done.append(outcome)
        # Once one writer has ended, there is no longer what is to be measured beside.
        return bool(done)

    if beside is not None:
        beside(finished)
    while len(done) < 2:
        outcome = results.get()
        if isinstance(outcome, str):
            raise SystemExit(f"a writer failed: {outcome}")
        done.append(outcome)
    # Backends that have ended are counted with the postmaster: ours are still there until the writers have closed them.
    for writer in writers:
        writer.join()
    used = postgres_seconds(store.home) - before + sum(one.processor for one in done)
    written = sum(one.mentions for one in done)
    return Speed(written / max(one.seconds for one in done), 2 * written / used)


def postgres_seconds(home: Path) -> float:
    """Processor time of the Postgres in a home, and of its backends that have ended."""
    (pid_file,) = home.rglob("postmaster.pid")
    postmaster = pid_file.read_text().split()[0]
    total = 0
    for pid in [postmaster, *Path(f"/proc/{postmaster}/task/{postmaster}/children").read_text().split()]:
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        total += sum(map(int, fields[11 : 15 if pid == postmaster else 13]))
    return total / os.sysconf("SC_CLK_TCK")


def _write(
    url: str,
    citations: int,
    numbers: list[int],
    start: multiprocessing.synchronize.Barrier,
    results: multiprocessing.Queue[Written | str],
) -> None:
    try:
        database = Database(parse_url(url, connect_timeout=10))
        corpus = Corpus(citations)
        with database.transaction() as connection:
            annotator_id = int(
                connection.exec_driver_sql("SELECT id FROM comention.annotator WHERE promoted").scalar_one()
            )
        portions = list(_annotated(database, annotator_id, corpus, numbers))
        names = NameTable(database)
        start.wait()
        used = time.process_time()
        began = folded = time.monotonic()
        mentions = 0
        for portion in portions:
            mentions += save_annotations(database, annotator_id, names, portion).mentions
            if time.monotonic() - folded > FOLD_AFTER:
                fold_counts(database)
                folded = time.monotonic()
        fold_counts(database)
        results.put(Written(mentions, time.monotonic() - began, time.process_time() - used))
        database.close()
    except BaseException as error:
        start.abort()
        results.put(f"{type(error).__name__}: {error}")
        raise


def _annotated(
    database: Database, annotator_id: int, corpus: Corpus, numbers: list[int]
) -> Iterator[list[AnnotatedCitation]]:
    """What an annotator would return for batches, in portions of a transaction."""
    for number in numbers:
        batch = corpus.batch(number)
        found = dict(zip(batch.pmids, mentions_of(corpus, batch), strict=True))
        after = batch.pmids[0] - 1
        while after < batch.pmids[-1]:
            pending = [
                one
                for one in list_pending(database, annotator_id, after_pmid=after, limit=SAVE_CITATIONS)
                if one.pmid in found
            ]
            if not pending:
                break
            yield [_answer(corpus, one, found[one.pmid]) for one in pending]
            after = pending[-1].pmid


def _answer(
    corpus: Corpus, pending: PendingCitation, found: tuple[list[int], list[int], list[int], list[int], list[float]]
) -> AnnotatedCitation:
    by_sentence: dict[int, list[Mention]] = defaultdict(list)
    for ordinal, start, end, name, score in zip(*found, strict=True):
        label = corpus.labels[corpus.names[name - 1].label]
        by_sentence[ordinal].append(Mention(start_char=start, end_char=end, label=label, score=score))
    return AnnotatedCitation(
        pending=pending,
        results=tuple(SentenceAnnotation(mentions=tuple(by_sentence[ordinal])) for ordinal in pending.ordinals),
    )


def measure_size(store: Store) -> float:
    """Print what the tables take, and return the bytes a mention of what comes with the mentions."""
    with connect(store.database) as connection:
        connection.execute("VACUUM (ANALYZE) comention.cooccurrence_delta")
        mentions = _number(connection, "SELECT sum(mention_count) FROM comention.annotation")
        print(f"\n{'on disk, with indexes':<34} {'MB':>10} {'bytes a mention':>16} {'of which indexes':>17}")
        total = 0
        for table in (*_COUNTED, *_BESIDE):
            size = _number(connection, f"SELECT pg_total_relation_size('comention.{table}')")
            indexes = _number(connection, f"SELECT pg_indexes_size('comention.{table}')")
            total += size if table in _COUNTED else 0
            beside = "" if table in _COUNTED else "   beside"
            print(f"  {table:<32} {size / 1e6:10,.1f} {size / mentions:16.1f} {indexes / mentions:17.1f}{beside}")
    return total / mentions


def _number(connection: psycopg.Connection[tuple[object, ...]], question: str) -> int:
    row = connection.execute(question.encode()).fetchone()
    assert row is not None
    return int(str(row[0]))


def measure_layout(store: Store, mentions: int = 1_000_000) -> None:
    """Print what the same mentions take and cost as one row each and as arrays a citation, written through one COPY each."""
    citations = min(int(mentions / MENTIONS_A_CITATION), store.corpus.citations)
    rows: list[str] = []
    lists: list[str] = []
    for number in range(citations // BATCH):
        batch = store.corpus.batch(number)
        for pmid, found in zip(batch.pmids, mentions_of(store.corpus, batch), strict=True):
            rows.extend(f"{pmid}\t{o}\t1\t{s}\t{e}\t{n}\t{x}\n" for o, s, e, n, x in zip(*found, strict=True))
            if found[0]:
                lists.append(f"{pmid}\t1\t" + "\t".join(f"{{{','.join(map(str, part))}}}" for part in found) + "\n")
    print(f"\n{len(rows):,} mentions, one COPY, with primary key and index of names")
    with connect(store.database) as connection:
        connection.execute("DROP SCHEMA IF EXISTS layout CASCADE")
        connection.execute("CREATE SCHEMA layout")
        connection.execute(
            "CREATE TABLE layout.rows (pmid integer, sentence_ordinal integer, annotator_id smallint, start_char integer, "
            "end_char integer, name_id integer, score real, "
            "PRIMARY KEY (pmid, sentence_ordinal, annotator_id, start_char, end_char, name_id)); "
            "CREATE INDEX ON layout.rows (name_id, annotator_id, pmid, sentence_ordinal); "
            "CREATE TABLE layout.arrays (LIKE comention.citation_mentions INCLUDING ALL)"
        )
        columns = {
            "rows": "pmid, sentence_ordinal, annotator_id, start_char, end_char, name_id, score",
            "arrays": "pmid, annotator_id, sentence_ordinals, starts, ends, name_ids, scores",
        }
        for table, lines in (("rows", rows), ("arrays", lists)):
            began = time.monotonic()
            with (
                connection.cursor() as cursor,
                cursor.copy(f"COPY layout.{table} ({columns[table]}) FROM STDIN".encode()) as copy,
            ):
                for first in range(0, len(lines), 20_000):
                    copy.write("".join(lines[first : first + 20_000]))
            taken = time.monotonic() - began
            size = _number(connection, f"SELECT pg_total_relation_size('layout.{table}')")
            indexes = _number(connection, f"SELECT pg_indexes_size('layout.{table}')")
            print(
                f"  {table:<8} {size / len(rows):6.1f} bytes a mention ({indexes / len(rows):.1f} of indexes), "
                f"{len(rows) / taken:10,.0f} mentions/s"
            )
        connection.execute("DROP SCHEMA layout CASCADE")


def measure(home: Path, arguments: argparse.Namespace) -> list[Row]:
    """Measure one store and return the lines of the table."""
    rows: list[Row] = []
    wanted = arguments.only or GROUPS
    smaller: Times = {}
    if arguments.growth:
        with open_store(home / "tenth", arguments.mentions // 10, arguments.processes) as store:
            smaller = _ask_idle(store)
            print_ranks(smaller, f"{arguments.mentions // 10:,} mentions")
    with open_store(home / "whole", arguments.mentions, arguments.processes) as store:
        if "queries" in wanted or arguments.growth:
            idle = _ask_idle(store)
            print_ranks(idle, f"{arguments.mentions:,} mentions, nobody writes")
            rows += judge_queries(idle)
            for kind, (title, *_) in TARGETS.items() if arguments.growth else ():
                for name, before, after in zip(
                    ("p50", "p95"), percentiles(smaller[kind]), percentiles(idle[kind]), strict=True
                ):
                    growth = after / before
                    rows.append(
                        (
                            f"{title}, {name} from N/10",
                            f"{growth:.2f}x",
                            f"<= {TARGET_GROWTH}x",
                            growth <= TARGET_GROWTH,
                        )
                    )
        if "size" in wanted:
            bytes_each = measure_size(store)
            # Of few mentions most cells of the counts have one citation, and names weigh more: no target for those.
            small = arguments.mentions < BYTES_FROM
            met = small or bytes_each <= TARGET_BYTES
            rows.append(("bytes a mention", f"{bytes_each:.0f}", "-" if small else f"<= {TARGET_BYTES}", met))
        if "layout" in wanted:
            measure_layout(store, min(arguments.mentions, 1_000_000))
        if "write" in wanted:
            speed = write(store, arguments.writes)
            rows.append(
                (
                    "mentions/s written on two cores (by the clock)",
                    f"{speed.cores:,.0f} ({speed.clock:,.0f})",
                    f">= {TARGET_WRITES:,}",
                    max(speed.cores, speed.clock) >= TARGET_WRITES,
                )
            )
            rows += _measure_beside(store, arguments.writes)
    return rows


def _ask_idle(store: Store) -> Times:
    questions = make_questions(store)
    fold_counts(store.database)
    with connect(store.database) as connection:
        connection.execute("VACUUM (ANALYZE) comention.cooccurrence_delta")
        return ask(connection, questions)


def _measure_beside(store: Store, mentions: int) -> list[Row]:
    """Ask while both writers write, and once more when they have ended."""
    questions = make_questions(store)
    busy: list[Times] = []

    def beside(finished: Callable[[], bool]) -> None:
        with connect(store.database) as connection:
            busy.append(ask(connection, questions, warm=False, until=finished))

    speed = write(store, mentions, beside=beside)
    with connect(store.database) as connection:
        idle = ask(connection, questions)
    print_ranks(busy[0], f"while two write ({speed.clock:,.0f} mentions/s)")
    rows = []
    for kind, (title, *_) in TARGETS.items():
        before, after = percentiles(idle[kind])[1], percentiles(busy[0][kind])[1]
        rows.append(
            (f"{title}, p95 beside writers", f"{after:.1f} ms, {after / before:.1f}x", f"<= {TARGET_BUSY:g}x",
             after <= TARGET_BUSY * before)
        )  # fmt: skip
    return rows


def main() -> int:
    """Print the tables; 0 where every target is met."""
    parser = argparse.ArgumentParser(description="Measure the store.")
    parser.add_argument("--mentions", type=int, default=200_000)
    parser.add_argument("--writes", type=int, default=0, help="mentions to write; default: a fifth, 40,000 to 500,000")
    parser.add_argument("--home", type=Path, help="keep the databases here")
    parser.add_argument("--processes", type=int, default=2, help="that load the corpus")
    parser.add_argument("--only", choices=GROUPS, action="append")
    parser.add_argument("--growth", action="store_true", help="compare with a tenth of the mentions")
    parser.add_argument("--soak", type=float, metavar="MINUTES", help="read and write for so long instead")
    arguments = parser.parse_args()
    arguments.writes = arguments.writes or min(500_000, max(40_000, arguments.mentions // 5))
    if arguments.soak is not None:
        from benchmarks.store_soak import main as soak

        return soak(arguments.soak, arguments.home)
    with tempfile.TemporaryDirectory() as place:
        rows = measure(arguments.home or Path(place), arguments)
    print(f"\nload {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    print(f"{'':<52} {'measured':>18} {'target':>12}")
    for name, measured, target, met in rows:
        print(f"{name:<52} {measured:>18} {target:>12}  {'met' if met else 'MISSED'}")
    return 0 if all(met for *_, met in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
