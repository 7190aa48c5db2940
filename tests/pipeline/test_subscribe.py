"""Subscriptions: what a query finds is in the database, current, and accounted for at every tick."""

from __future__ import annotations

import datetime as dt
import signal
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from sqlalchemy import text

from comention.errors import SourceBusyError
from ingest.pubmed import PubMed
from ingest.sentences import RuleSplitter
from pipeline.stages.subscriptions import TickReport, due_subscriptions, run_tick
from storage.database import Database
from storage.subscriptions import (
    Subscription,
    add_subscription,
    get_subscription,
    open_tick,
    pause_subscription,
    remove_subscription,
)
from tests.conftest import COMMAND, Comention, command_environment
from tests.ncbi import Article, Fault, Faults, NcbiServer, Unlimited, make_articles

SPLITTER = RuleSplitter()
EARLY = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


@pytest.fixture
def ncbi() -> Iterator[NcbiServer]:
    with NcbiServer(make_articles(60), enforce_rate=False) as server:
        yield server


@pytest.fixture
def lithium(database: Database) -> Subscription:
    return add_subscription(database, name="lithium", query="lithium", every="1h", annotator=None)


def pubmed(ncbi: NcbiServer) -> PubMed:
    return PubMed(ncbi.settings(attempts=2), Unlimited(), backoff=0.001)


def tick(database: Database, ncbi: NcbiServer, owner: Subscription, hour: int) -> TickReport:
    report = run_tick(database, pubmed(ncbi), owner, EARLY + dt.timedelta(hours=hour), SPLITTER)
    assert report is not None
    return report


def ledger(database: Database) -> list[dict[str, object]]:
    with database.transaction() as connection:
        rows = connection.execute(text("SELECT * FROM analysis.subscription_tick ORDER BY tick")).mappings()
        return [dict(row) for row in rows]


def about_lithium(ncbi: NcbiServer) -> list[Article]:
    return [article for article in ncbi.articles.values() if "lithium" in article.text]


def test_a_tick_brings_what_is_new_and_what_was_changed_and_keeps_what_is_no_longer_found(
    database: Database, ncbi: NcbiServer, lithium: Subscription
) -> None:
    first, second, third, *others = about_lithium(ncbi)
    assert tick(database, ncbi, lithium, 0).source.counts.new == len(others) + 3
    today = dt.datetime.now(dt.UTC).date()
    ncbi.articles[first.pmid] = replace(first, revision=2, modified=today)
    ncbi.articles[second.pmid] = replace(second, title="Another drug.", abstract="It is not named.", modified=today)
    ncbi.articles[1000] = replace(third, pmid=1000)
    ncbi.articles[1001] = replace(third, pmid=1001)
    ncbi.missing.add(1001)
    report = tick(database, ncbi, lithium, 1)
    assert report.found is not None
    assert (report.found.added, report.found.lost) == (2, 1)
    assert set(report.found.due) == {first.pmid, 1000, 1001}
    row = ledger(database)[1]
    assert (row["found"], row["known"], row["requested"]) == (len(others) + 4, len(others) + 1, 3)
    assert (row["new"], row["revised"], row["missing"], row["status"]) == (1, 1, 1, "done")
    with database.transaction() as connection:
        kept = connection.execute(text("SELECT count(*) FROM comention.citation WHERE pmid = :p"), {"p": second.pmid})
        assert kept.scalar_one() == 1
        why = connection.execute(text("SELECT pmid, outcome, reason FROM analysis.ingest_exception")).one()
        assert tuple(why) == (1001, "missing", "NCBI returned no record for this PMID")
        counted = connection.execute(text("SELECT found, lost FROM analysis.subscription")).one()
        assert tuple(counted) == (len(others) + 4, 1)
    ncbi.missing.clear()
    ncbi.articles[second.pmid] = replace(second, modified=today)
    again = tick(database, ncbi, lithium, 2)
    assert again.found is not None
    assert (again.found.added, again.found.lost) == (1, 0)
    assert {1001, second.pmid} <= set(again.found.due)
    for row in ledger(database):
        parts = ("stored", "unchanged", "deleted", "left_out", "missing")
        assert row["requested"] == sum(int(str(row[part])) for part in parts)
        assert row["found"] == int(str(row["known"])) + int(str(row["requested"]))


def test_a_citation_that_begins_to_match_long_after_it_came_is_fetched(
    database: Database, ncbi: NcbiServer, lithium: Subscription
) -> None:
    tick(database, ncbi, lithium, 0)
    other = next(article for article in ncbi.articles.values() if "lithium" not in article.text)
    ncbi.articles[other.pmid] = replace(other, abstract="Indexed with lithium.")  # its days are those of old
    report = tick(database, ncbi, lithium, 1)
    assert report.found is not None
    assert report.found.due == (other.pmid,)


def test_a_tick_that_is_done_is_not_done_again(database: Database, ncbi: NcbiServer, lithium: Subscription) -> None:
    tick(database, ncbi, lithium, 0)
    asked = len(ncbi.requests)
    assert run_tick(database, pubmed(ncbi), lithium, EARLY, SPLITTER) is None
    assert len(ncbi.requests) == asked
    assert len(ledger(database)) == 1


def test_two_that_take_up_one_tick_at_a_time_do_it_once(
    database: Database, ncbi: NcbiServer, lithium: Subscription
) -> None:
    def one(_: int) -> TickReport | None:
        return run_tick(database, pubmed(ncbi), lithium, EARLY, SPLITTER)

    with ThreadPoolExecutor(4) as pool:
        reports = [report for report in pool.map(one, range(4)) if report is not None]
    assert len(reports) == len(ledger(database)) == 1


def test_a_tick_in_hand_keeps_others_out(database: Database, lithium: Subscription) -> None:
    with (
        open_tick(database, lithium, EARLY),
        pytest.raises(SourceBusyError, match="the subscription lithium"),
        open_tick(database, lithium, EARLY),
    ):
        pass


def test_a_failed_search_and_a_failed_fetch_are_taken_up_again_under_the_same_tick(
    database: Database, ncbi: NcbiServer, lithium: Subscription
) -> None:
    ncbi.faults = Faults(schedule=[Fault.SERVER_ERROR, Fault.SERVER_ERROR])
    failed = tick(database, ncbi, lithium, 0)
    assert failed.source.failure
    assert ledger(database)[0]["status"] == "failed"
    ncbi.faults = Faults(schedule=[None, None, None, Fault.DROPPED, Fault.WEB_PAGE])
    halfway = tick(database, ncbi, lithium, 0)
    assert halfway.source.failure
    assert ledger(database)[0]["requested"] == len(about_lithium(ncbi))
    searched = sum(asked.utility == "esearch" for asked in ncbi.requests)
    done = tick(database, ncbi, lithium, 0)
    assert done.source.counts.new == len(about_lithium(ncbi))
    assert sum(asked.utility == "esearch" for asked in ncbi.requests) == searched
    (row,) = ledger(database)
    assert (row["status"], row["detail"], row["missing"]) == ("done", None, 0)


def test_of_missed_ticks_one_is_made_up_and_a_paused_subscription_has_none(
    database: Database, lithium: Subscription
) -> None:
    later = lithium.created_at + dt.timedelta(hours=5, minutes=10)
    ((one, moment),) = due_subscriptions(database, later)
    assert moment == lithium.created_at + dt.timedelta(hours=5)
    with open_tick(database, one, moment) as taken:
        assert taken is not None
        taken.finish()
    assert due_subscriptions(database, later) == []
    pause_subscription(database, "lithium", paused=True)
    assert due_subscriptions(database, later + dt.timedelta(days=9)) == []
    pause_subscription(database, "lithium", paused=False)
    assert len(due_subscriptions(database, later + dt.timedelta(days=9))) == 1


def test_removing_a_subscription_keeps_its_citations_and_runs(
    database: Database, ncbi: NcbiServer, lithium: Subscription
) -> None:
    tick(database, ncbi, lithium, 0)
    remove_subscription(database, "lithium")
    with database.transaction() as connection:
        assert connection.execute(text("SELECT count(*) FROM comention.citation")).scalar_one() > 0
        assert connection.execute(text("SELECT kind, source, status FROM analysis.ingest_run")).one() == (
            "subscription",
            "lithium",
            "done",
        )


def settings(ncbi: NcbiServer, **more: str) -> dict[str, str]:
    return {"COMENTION_NCBI__BASE_URL": ncbi.base_url, "COMENTION_NCBI__EMAIL": "t@example.org", **more}


@pytest.fixture
def limited() -> Iterator[NcbiServer]:
    with NcbiServer(make_articles(60)) as server:
        yield server


def test_the_commands_from_a_subscription_to_its_mentions(
    comention: Comention, database: Database, limited: NcbiServer
) -> None:
    made = comention("subscribe", "lithium", "--query", "lithium", "--every", "6h", **settings(limited))
    assert made.status == 0, made.stderr
    assert "PubMed counts" in made.stdout
    assert comention("subscribe", "lithium", "--query", "x", "--every", "6h", "--no-check").status == 1
    ran = comention("subscribe", "run", "--json", **settings(limited))
    assert ran.status == 0, ran.stderr
    (done,) = ran.document["ticks"]
    assert done["new"] == done["found"] == done["requested"] == len(about_lithium(limited))
    with database.transaction() as connection:
        assert connection.execute(text("SELECT count(*) FROM analysis.mention")).scalar_one() > 0
    assert "nothing is due" in comention("subscribe", "run", **settings(limited)).stderr
    assert "lithium: " in comention("subscribe", "run", "lithium", **settings(limited)).stderr
    listed = comention("subscribe", "list", "--json").document["subscriptions"]
    assert [(one["name"], one["every"], one["last_status"]) for one in listed] == [("lithium", "6h", "done")]
    assert "lithium" in comention("subscribe", "list").stdout
    assert comention("subscribe", "pause", "lithium").status == 0
    assert "paused" in comention("subscribe", "list").stdout
    assert comention("subscribe", "resume", "lithium").status == 0
    changed = comention(
        "subscribe", "lithium", "--query", "rash", "--every", "0 3 * * *", "--replace", **settings(limited)
    )
    assert changed.status == 0, changed.stderr
    assert comention("subscribe", "remove", "lithium").status == 0
    assert "there are no subscriptions" in comention("subscribe", "list").stdout
    assert get_status(database) == len(about_lithium(limited))


def get_status(database: Database) -> int:
    with database.transaction() as connection:
        return int(connection.execute(text("SELECT count(*) FROM comention.citation")).scalar_one())


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (["x", "--query", "rash[nosuch]", "--every", "6h"], 1, "does not know the search field 'nosuch'"),
        (["x", "--query", " ", "--every", "6h"], 1, "the query is empty"),
        (["x", "--query", "rash", "--every", "often"], 1, "write 30m, 6h, 1d or 2w"),
        (["a b", "--query", "rash", "--every", "6h"], 2, "cannot be a name"),
        (["x", "--query", "rash"], 2, "--every"),
        (["x", "--query", "rash", "--every", "6h", "--annotator", "nobody"], 2, "there is no annotator 'nobody'"),
        (["pause", "x"], 1, "there is no subscription 'x'; there are: none"),
        (["run", "x"], 1, "there is no subscription 'x'"),
    ],
)
def test_bad_subscriptions_are_refused_and_nothing_is_stored(
    comention: Comention, limited: NcbiServer, arguments: list[str], status: int, said: str
) -> None:
    outcome = comention("subscribe", *arguments, **settings(limited))
    assert outcome.status == status
    assert said in outcome.stderr
    assert "Traceback" not in outcome.stderr
    assert comention("subscribe", "list", "--json").document == {"subscriptions": []}


def test_a_tick_that_is_killed_goes_on_where_it_was(
    comention: Comention, database: Database, database_address: str
) -> None:
    with NcbiServer(make_articles(900)) as ncbi:
        wanted = len(ncbi.articles)
        chosen = settings(ncbi, COMENTION_NCBI__BATCH_SIZE="100", COMENTION_DATABASE__URL=database_address)
        add_subscription(database, name="all", query="patient", every="1d", annotator=None)
        process = subprocess.Popen(
            [*COMMAND, "subscribe", "run", "--no-annotate"],
            env=command_environment(**chosen),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        while process.poll() is None and not get_status(database):
            pass
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
        assert comention("subscribe", "run", "--no-annotate", **chosen).status == 0
        (row,) = ledger(database)
        assert (row["status"], row["requested"], row["new"]) == ("done", wanted, wanted)
        assert get_status(database) == wanted
        assert get_subscription(database, "all").last_status == "done"
