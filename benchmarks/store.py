"""Measure the store: what analysts ask, how fast mentions are written, both at once, and the room it takes.

    python -m benchmarks.store [--mentions N] [--home FOLDER] [--only GROUP …] [--growth] [--soak MINUTES]

A made corpus (`benchmarks.store_corpus`) is brought into an embedded Postgres with the settings that the product uses.
Questions go over one connection of this process, warm, each at least 200 times, over drugs and conditions from the
head, the middle and the rare end of their distribution; the table gives the median and the 95th percentile in
milliseconds. Writers are two processes that save what an annotator would have returned, made beforehand, on the way
that `comention annotate` goes: names, ledger, mentions, deltas, all constraints on, the deltas folded every half second.
Their speed is given by the clock and for two seconds of processor time, Postgres included, which is what two cores do
that have nothing else to do. Exit status 1 where a target is missed.

With ``--home`` the database is kept and found again. ``--growth`` builds a tenth of the corpus too and compares.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import psycopg

from benchmarks.store_corpus import BATCH, MENTIONS_A_CITATION
from benchmarks.store_home import Store, connect, open_store
from benchmarks.store_load import mentions_of
from benchmarks.store_questions import Times, ask, make_questions, percentiles, print_ranks
from benchmarks.store_writers import write
from storage.cooccurrence import fold_counts, vacuum_counts

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

_COUNTED = (
    "citation_mentions", "annotation", "name", "concept", "cooccurrence_total", "cooccurrence_delta",
)  # fmt: skip
_BESIDE = ("citation", "section", "sentence", "sentence_text", "unindexed_citation")

Row = tuple[str, str, str, bool]
"""What, measured, target, met."""


def judge_queries(times: Times) -> list[Row]:
    """Compare with the targets."""
    rows = []
    for kind, (title, target50, target95) in TARGETS.items():
        p50, p95 = percentiles(times[kind])
        if target50 is not None:
            rows.append((f"{title}, p50", f"{p50:.2f} ms", f"<= {target50:g} ms", p50 <= target50))
        rows.append((f"{title}, p95", f"{p95:.2f} ms", f"<= {target95:g} ms", p95 <= target95))
    return rows


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
    # As after the nightly upkeep: a database that was written to is compared with one that was not.
    fold_counts(store.database)
    vacuum_counts(store.database)
    with connect(store.database) as connection:
        return ask(connection, questions)


def _measure_beside(store: Store, mentions: int) -> list[Row]:
    """Ask before anybody writes, and the same while both writers write."""
    questions = make_questions(store)
    with connect(store.database) as connection:
        idle = ask(connection, questions)
    busy: list[Times] = []

    def beside(finished: Callable[[], bool]) -> None:
        with connect(store.database) as connection:
            busy.append(ask(connection, questions, warm=False, until=finished))

    speed = write(store, mentions, beside=beside)
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
