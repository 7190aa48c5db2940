"""Measure the dashboard: how long the server takes for each page, and how many requests a second it answers.

    python -m benchmarks.dashboard [--mentions N] [--home FOLDER] [--seconds S] [--connections C]

A made corpus (`benchmarks.store_corpus`) lies in an embedded Postgres; `comention serve` runs as a process of its own. First
each page is asked for over many drugs, conditions, pairs, citations and words, warm, and so that no answer was kept:
median and 95th percentile of the time until the whole page is there, in milliseconds, over loopback, and the mean of the
processor time that the server and that Postgres spend on it, which says more on a machine that has other things to do. Then as
many connections as asked for request pages by a Zipf law, as people do who look at the same drugs, as fast as they are
answered. The server, Postgres and this client share the machine. Exit status 1 where a target is missed.
"""

from __future__ import annotations

import argparse
import asyncio
import http.client
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from urllib.parse import urlencode

from benchmarks.store_home import Store, connect, open_store
from benchmarks.store_questions import make_questions, percentiles

TARGETS = {"drug": 30.0, "condition": 30.0, "pair": 30.0}
TARGET_OTHERS = 100.0
TARGET_RATE = 200.0
PAGES = 100
"""Addresses asked for of each kind of page."""

Addresses = dict[str, list[str]]
_HEADERS = "Accept: text/html\r\nAccept-Encoding: gzip"


def make_addresses(store: Store) -> Addresses:
    """Draw what to ask for: of each kind of page, frequent, middle and rare ones, none twice."""
    questions = make_questions(store)
    chance = random.Random(3)
    with connect(store.database) as connection:
        conditions = [
            str(row[0])
            for row in connection.execute(
                "SELECT k.key FROM comention.cooccurrence_total t JOIN comention.concept k ON k.id = t.condition_id "
                "WHERE t.drug_id = 0 AND t.condition_id > 0 ORDER BY t.citation_count DESC LIMIT 2000"
            )
        ]
        pmids = [
            row[0] for row in connection.execute("SELECT pmid FROM comention.citation ORDER BY pmid DESC LIMIT 5000")
        ]
    drugs = [call for calls in questions["top"].values() for (call,) in calls]
    pairs = [call for calls in questions["pair"].values() for call in calls]
    words = [call for calls in questions["search"].values() for (call,) in calls]
    typed = [call for calls in questions["suggest"].values() for (call,) in calls]
    made = {
        "home": ["/"],
        "drug": [_address("/drug", name=name) for name in drugs],
        "condition": [_address("/condition", name=name) for name in chance.sample(conditions, PAGES)],
        "pair": [_address("/pair", drug=drug, condition=condition) for drug, condition in pairs],
        "citation": [f"/citation/{pmid}" for pmid in chance.sample(pmids, PAGES)],
        "sentences": [_address("/sentences", q=word) for word in words],
        "suggest": [_address("/suggest", q=name) for name in typed],
        "search": [_address("/search", q=name) for name in typed],
    }
    return {
        kind: chance.sample(distinct := list(dict.fromkeys(all_)), min(PAGES, len(distinct)))
        for kind, all_ in made.items()
    }


def _address(path: str, **values: str) -> str:
    return f"{path}?{urlencode(values)}"


@contextmanager
def served(store: Store) -> Iterator[tuple[int, int]]:
    """`comention serve` over the store: its port, a free one, and its process id."""
    url = store.database.url.set(drivername="postgresql").render_as_string(hide_password=False)
    process = subprocess.Popen(
        [str(Path(sys.executable).parent / "comention"), "serve", "--port", "0"],
        env={**os.environ, "COMENTION_DATABASE__URL": url},
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    try:
        for line in process.stderr:
            if "http://" in line:
                yield int(line.split("http://", 1)[1].split("/")[0].rpartition(":")[2]), process.pid
                break
        else:
            raise SystemExit("the dashboard did not start")
    finally:
        process.terminate()
        process.wait(timeout=30)


Spent = Callable[[], tuple[float, float]]
"""Tells the processor time of the server and of Postgres so far, in milliseconds."""


@contextmanager
def spending(store: Store, server: int) -> Iterator[Spent]:
    """What tells how much the server, and the sessions that it has in Postgres, have spent."""

    def of_process(process: int) -> float:
        tasks = Path(f"/proc/{process}/task").iterdir()
        return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e6

    with connect(store.database) as connection:

        def spent() -> tuple[float, float]:
            sessions = connection.execute(
                "SELECT pid FROM pg_stat_activity WHERE application_name = 'comention dashboard' ORDER BY pid"
            ).fetchall()
            return of_process(server), sum(of_process(int(str(pid))) for (pid,) in sessions)

        yield spent


@dataclass
class Asked:
    """Milliseconds of the pages of a kind: until each was there, and of processor time for each."""

    times: list[float] = field(default_factory=list)
    server: list[float] = field(default_factory=list)
    postgres: list[float] = field(default_factory=list)


def ask_each(port: int, addresses: Addresses, spent: Spent) -> tuple[dict[str, Asked], Counter[str]]:
    """Ask for every address once, warm; what that took by kind, and what went wrong.

    Before, each is asked for with its first page named: the same questions, for an answer that is kept elsewhere.
    """
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    found: dict[str, Asked] = {kind: Asked() for kind in addresses}
    wrong: Counter[str] = Counter()
    everything = [(kind, address) for kind, all_ in addresses.items() for address in all_]
    random.Random(5).shuffle(everything)
    warming = [(kind, f"{address}{'&' if '?' in address else '?'}page=1") for kind, address in everything]
    for number, (kind, address) in enumerate([*warming, *everything]):
        before = spent()
        began = time.perf_counter()
        connection.request("GET", address, headers={"Accept": "text/html", "Accept-Encoding": "gzip"})
        answer = connection.getresponse()
        answer.read()
        if answer.status not in (200, 303, 404):  # a made name may stand for nothing
            wrong[f"{kind}: {answer.status}"] += 1
        took = 1000 * (time.perf_counter() - began)
        after = spent()
        if number >= len(warming):
            found[kind].times.append(took)
            found[kind].server.append(after[0] - before[0])
            found[kind].postgres.append(after[1] - before[1])
    connection.close()
    return found, wrong


@dataclass
class Load:
    """What came of asking as fast as one is answered."""

    answered: int = 0
    wrong: Counter[str] = field(default_factory=Counter)
    times: list[float] = field(default_factory=list)


async def press(port: int, addresses: Addresses, *, seconds: float, connections: int) -> Load:
    """Ask over so many connections, by a Zipf law over a mix of all pages."""
    chance = random.Random(7)
    mix = [
        address
        for kind in ("drug", "pair", "condition", "citation", "sentences", "suggest", "home")
        for address in addresses[kind]
    ]
    chance.shuffle(mix)
    weights = [1 / (rank + 1) for rank in range(len(mix))]
    load = Load()
    until = time.monotonic() + seconds

    async def one() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        while time.monotonic() < until:
            (address,) = chance.choices(mix, weights)
            began = time.perf_counter()
            writer.write(f"GET {address} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n{_HEADERS}\r\n\r\n".encode())
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
            await reader.readexactly(int(head.split("content-length:", 1)[1].split("\r\n", 1)[0]))
            status = head.split(" ", 2)[1]
            if status not in ("200", "303", "404"):
                load.wrong[status] += 1
            load.answered += 1
            load.times.append(1000 * (time.perf_counter() - began))
        writer.close()

    await asyncio.gather(*(one() for _ in range(connections)))
    return load


def main() -> int:
    """Print the tables; 0 where every target is met."""
    parser = argparse.ArgumentParser(description="Measure the dashboard.")
    parser.add_argument("--mentions", type=int, default=200_000)
    parser.add_argument("--home", type=Path, help="a home of benchmarks.store, which is kept")
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--connections", type=int, default=16)
    arguments = parser.parse_args()
    missed = False
    with (
        tempfile.TemporaryDirectory() as place,
        open_store((arguments.home or Path(place)) / "whole", arguments.mentions, 2) as store,
    ):
        addresses = make_addresses(store)
        with served(store) as (port, server):
            with spending(store, server) as spent:
                found, wrong = ask_each(port, addresses, spent)
            print(
                f"\n{arguments.mentions:,} mentions, each address once   {'pages':>6} {'p50 ms':>8} {'p95 ms':>8} {'target':>8}"
                f" {'':7} {'server':>8} {'postgres':>8}"
            )
            for kind, asked in found.items():
                values = asked.times
                p50, p95 = percentiles({kind: values if len(values) > 1 else values * 2})
                target = TARGETS.get(kind, TARGET_OTHERS)
                verdict = "met" if p95 <= target else "MISSED"
                missed |= p95 > target
                print(
                    f"  {kind:<36} {len(values):6} {p50:8.1f} {p95:8.1f} {target:8.0f}  {verdict:6}"
                    f" {fmean(asked.server):8.1f} {fmean(asked.postgres):8.1f}"
                )
            load = asyncio.run(press(port, addresses, seconds=arguments.seconds, connections=arguments.connections))
    rate = load.answered / arguments.seconds
    p50, p95 = percentiles({"all": load.times})
    wrong += load.wrong
    met = rate >= TARGET_RATE and not wrong
    print(
        f"\n{rate:,.0f} requests/s over {arguments.connections} connections (target {TARGET_RATE:.0f}), p50 {p50:.1f} ms, "
        f"p95 {p95:.1f} ms, errors: {dict(wrong) or 'none'}  {'met' if met else 'MISSED'}"
    )
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    return 0 if met and not missed else 1


if __name__ == "__main__":
    sys.exit(main())
