"""Measure ingest: parsing beside two other parsers, and parse + split + store over two processes.

    python -m benchmarks.ingest [--corpora FOLDER] [--citations N] [--processes N] [--rounds N] [--only parse|store|memory]

Parsing is measured in processor time over the newest records of the corpus (the project's own sample where there is no corpus),
each parser in its turn and again, best of the rounds: what else runs on the machine then disturbs all alike. Storing goes the
way of `comention ingest files --processes 2` into an empty embedded Postgres, over the corpus replicated under new PMIDs; it is
given in citations a second by the clock, and in citations for two seconds of processor time, Postgres included, which is what
two cores do that have nothing else to do. Exit status 1 where a target is missed.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from ingest.samples import sample_files

TARGET_RATIO = 6.0
TARGET_CITATIONS = 1_000
TARGET_MEGABYTES = 300
PARSE_BYTES = 24 << 20

_RECORD = re.compile(rb"<PubmedArticle>.*?</PubmedArticle>", re.DOTALL)
_PMID = re.compile(rb"(<PMID[^>]*>)([0-9]+)(</PMID>)")
_TICKS = os.sysconf("SC_CLK_TCK")
_HEAD = b'<?xml version="1.0" encoding="utf-8"?>\n'
# Without it Bio.Entrez reads nothing; the DTD comes with Biopython.
_DOCTYPE = (
    b'<!DOCTYPE PubmedArticleSet PUBLIC "-//NLM//DTD PubMedArticle, 1st January 2025//EN" '
    b'"https://dtd.nlm.nih.gov/ncbi/pubmed/out/pubmed_250101.dtd">\n'
)
_TAIL = b"\n</PubmedArticleSet>\n"


def list_records(corpora: Path) -> list[list[bytes]]:
    """The records of each file of the corpus, or of the sample, oldest form first."""
    folder = corpora / "pubmed_xml"
    files = sorted(folder.glob("pubmedarticle_*.xml.gz")) if folder.is_dir() else sample_files()
    return [_RECORD.findall(gzip.decompress(f.read_bytes()) if f.suffix == ".gz" else f.read_bytes()) for f in files]


def renumbered(records: list[bytes], first: int) -> Iterator[bytes]:
    """The records with PMIDs of their own, consecutive from ``first``."""
    for pmid, record in enumerate(records, start=first):
        yield _PMID.sub(rb"\g<1>%d\g<3>" % pmid, record, count=1)


def measure_parsers(corpora: Path, folder: Path, rounds: int) -> float:
    """Print records a processor second of each parser; return how many times `Bio.Entrez.read` ours is, or 0."""
    newest = list_records(corpora)[-1]
    size = max(1, PARSE_BYTES // max(1, sum(map(len, newest)))) if corpora.is_dir() else 40
    copies = [record for copy in range(size) for record in renumbered(newest, 1 + copy * len(newest))]
    path = folder / "parse.xml.gz"
    content = _HEAD + _DOCTYPE + b"<PubmedArticleSet>\n" + b"\n".join(copies) + _TAIL
    path.write_bytes(gzip.compress(content, 6))
    print(f"\nparse: {len(copies):,} records, {len(content) / 1e6:.0f} MB, packed with gzip for all")
    parsers: dict[str, Callable[[Path], int]] = {
        "comention": _parse_ours,
        "Bio.Entrez.read": _parse_entrez,
        "pubmed_parser": _parse_pubmed_parser,
    }
    times: dict[str, list[float]] = {name: [] for name in parsers}
    for _ in range(rounds):
        for name, parse in list(parsers.items()):
            began = time.process_time()
            try:
                read = parse(path)
            except ImportError:
                print(f"  {name} is not installed: pip install 'comention[bench]'")
                del parsers[name]
                continue
            times[name].append(time.process_time() - began)
            if read != len(copies):
                raise SystemExit(f"{name} read {read} of {len(copies)} records")
    print(f"  {'parser':<16} {'records/cpu-s':>14} {'of ours':>8}   (best of {rounds}, and median)")
    best = {name: min(taken) for name, taken in times.items() if taken}
    for name, taken in best.items():
        median = len(copies) / statistics.median(times[name])
        print(f"  {name:<16} {len(copies) / taken:14,.0f} {taken / best['comention']:7.1f}x   ({median:,.0f})")
    return best.get("Bio.Entrez.read", 0) / best["comention"]


def _parse_ours(path: Path) -> int:
    from ingest.files import read_records

    return sum(1 for _ in read_records(path))


def _parse_entrez(path: Path) -> int:
    from Bio import Entrez

    # Without validation: it then skips what its DTD does not know instead of failing, and is faster.
    with gzip.open(path) as file:
        return len(Entrez.read(file, validate=False)["PubmedArticle"])


def _parse_pubmed_parser(path: Path) -> int:
    import pubmed_parser

    return sum(1 for _ in pubmed_parser.parse_medline_xml(str(path)))


def write_files(corpora: Path, folder: Path, citations: int, files: int) -> list[Path]:
    """Write the corpus under new PMIDs, again and again, into numbered files of equal size."""
    everything = [record for part in list_records(corpora) for record in part]
    paths = []
    for number in range(files):
        first = 1 + number * (citations // files)
        chosen = [everything[(first + place) % len(everything)] for place in range(citations // files)]
        path = folder / f"pubmed26n{number + 1:04}.xml.gz"
        with gzip.open(path, "wb", compresslevel=6) as file:
            file.write(_HEAD + b"<PubmedArticleSet>\n" + b"\n".join(renumbered(chosen, first)) + _TAIL)
        paths.append(path)
    return paths


def measure_store(corpora: Path, folder: Path, citations: int, processes: int) -> tuple[float, float]:
    """Print and return citations a second by the clock, and for two seconds of processor time."""
    from pipeline.stages.ingest_files import ingest_files
    from pipeline.terminal.console import progress_bars
    from storage.database import Database, parse_url
    from storage.embedded import EmbeddedPostgres
    from storage.migrate import upgrade

    paths = write_files(corpora, folder, citations, 2 * processes)
    with tempfile.TemporaryDirectory() as home, EmbeddedPostgres(Path(home)) as server:
        database = Database(parse_url(server.url, connect_timeout=10))
        upgrade(database)
        before, began = _processor_seconds(Path(home)), time.monotonic()
        with progress_bars() as progress:
            reports = ingest_files(database, paths, progress, processes=processes)
        wall = time.monotonic() - began
        ours, postgres = (now - then for now, then in zip(_processor_seconds(Path(home)), before, strict=True))
        database.close()
    new = sum(report.counts.new for report in reports)
    if new != citations // len(paths) * len(paths):
        raise SystemExit(f"only {new} citations were stored: {[report.failure for report in reports]}")
    size = sum(path.stat().st_size for path in paths)
    print(
        f"\nparse + split + store: {new:,} citations, {len(paths)} files ({size / 1e6:.0f} MB packed), {processes} processes\n"
        f"  {new / wall:,.0f} citations/s by the clock; {1000 * ours / new:.2f} ms of processor a citation and "
        f"{1000 * postgres / new:.2f} of Postgres, so "
        f"{2 * new / (ours + postgres):,.0f} citations/s on two cores of its own (load now {os.getloadavg()[0]:.1f})"
    )
    return new / wall, 2 * new / (ours + postgres)


def _processor_seconds(home: Path) -> tuple[float, float]:
    """Processor time of this process with its workers that have ended, and of the Postgres in ``home``."""
    own = os.times()
    total = 0.0
    (pid_file,) = home.rglob("postmaster.pid")
    postmaster = pid_file.read_text().split()[0]
    for pid in [postmaster, *Path(f"/proc/{postmaster}/task/{postmaster}/children").read_text().split()]:
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        # Of the postmaster also what its backends used that have ended.
        total += sum(map(int, fields[11 : 15 if pid == postmaster else 13])) / _TICKS
    return own.user + own.system + own.children_user + own.children_system, total


_MEMORY = """
import json, re, sys
from pathlib import Path
from ingest.sentences import RuleSplitter
from pipeline.stages.ingest_stage import ingest_file
from storage.database import Database, parse_url
database = Database(parse_url(sys.argv[1], connect_timeout=10))
report = ingest_file(database, Path(sys.argv[2]), RuleSplitter())
# Not getrusage, whose peak includes what the parent had when it started this process.
peak = int(re.search("VmHWM:\\s+([0-9]+) kB", Path("/proc/self/status").read_text())[1])
print(json.dumps([report.counts.new, peak / 1024]))
"""


def measure_memory(corpora: Path, folder: Path) -> float:
    """Print the peak memory of a process for a small file and for one eight times its size; return the higher."""
    from storage.database import Database, parse_url
    from storage.embedded import EmbeddedPostgres
    from storage.migrate import upgrade

    print("\npeak memory of a process that stores one file")
    peaks = []
    for citations in (2_000, 16_000):
        place = folder / str(citations)
        place.mkdir()
        (path,) = write_files(corpora, place, citations, 1)
        with tempfile.TemporaryDirectory() as home, EmbeddedPostgres(Path(home)) as server:
            database = Database(parse_url(server.url, connect_timeout=10))
            upgrade(database)
            database.close()
            done = subprocess.run(
                [sys.executable, "-c", _MEMORY, server.url, str(path)], check=True, capture_output=True, text=True
            )
        stored, peak = json.loads(done.stdout)
        peaks.append(peak)
        print(f"  {stored:6,} citations, {path.stat().st_size / 1e6:4.0f} MB packed: {peak:.0f} MB")
    return max(peaks)


def main() -> int:
    """Print the tables; 0 where every target is met."""
    parser = argparse.ArgumentParser(description="Measure ingest.")
    parser.add_argument("--corpora", type=Path, default=Path(os.environ.get("COMENTION_CORPORA", "../shared/data")))
    parser.add_argument("--citations", type=int, default=40_000)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", choices=("parse", "store", "memory"))
    arguments = parser.parse_args()
    results: list[tuple[str, str, str, bool]] = []
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        if arguments.only in (None, "parse"):
            ratio = measure_parsers(arguments.corpora, folder, arguments.rounds)
            results.append(
                ("parse beside Bio.Entrez.read", f"{ratio:.1f}x", f">= {TARGET_RATIO}x", ratio >= TARGET_RATIO)
            )
        if arguments.only in (None, "store"):
            clock, cores = measure_store(arguments.corpora, folder, arguments.citations, arguments.processes)
            met = max(clock, cores) >= TARGET_CITATIONS
            results.append(
                ("citations/s on two cores", f"{cores:,.0f} ({clock:,.0f})", f">= {TARGET_CITATIONS:,}", met)
            )
        if arguments.only in (None, "memory"):
            peak = measure_memory(arguments.corpora, folder)
            results.append(("peak memory", f"{peak:.0f} MB", f"<= {TARGET_MEGABYTES} MB", peak <= TARGET_MEGABYTES))
    print(f"\n{'':<30} {'measured':>16} {'target':>10}")
    for name, measured, target, met in results:
        print(f"{name:<30} {measured:>16} {target:>10}  {'met' if met else 'MISSED'}")
    return 0 if all(met for *_, met in results) else 1


if __name__ == "__main__":
    sys.exit(main())
