"""Alert rules and dashboard: every expression parses, and every figure in it is one that somebody serves."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import promql_parser
import pytest
from prometheus_client import CollectorRegistry

from comention.settings import Settings
from pipeline.observability.broker_metrics import BrokerCollector
from pipeline.observability.gpu_metrics import GpuCollector
from pipeline.observability.ledger_metrics import LedgerCollector
from pipeline.observability.metrics import WorkMetrics
from storage.database import Database, parse_url
from tests.conftest import ROOT
from tests.containers import load, merged

PROMETHEUS = ROOT / "deploy" / "prometheus"
DASHBOARD = ROOT / "deploy" / "grafana" / "dashboards" / "comention.json"
OF_PROMETHEUS = {"up"}


def rules() -> list[dict[str, Any]]:
    return [rule for group in load(PROMETHEUS / "alerts.yml")["groups"] for rule in group["rules"]]


def panels() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(DASHBOARD.read_text(encoding="utf-8"))["panels"]
    return found


def expressions() -> Iterator[tuple[str, str]]:
    for rule in rules():
        yield rule["alert"], rule["expr"]
    for panel in panels():
        for target in panel.get("targets", []):
            yield f"{panel['title']} {target['refId']}", target["expr"]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> dict[str, set[str]]:
    """Every series that a worker or `comention metrics` serves, with its labels."""
    registry = CollectorRegistry()
    WorkMetrics(Settings(home=tmp_path_factory.mktemp("home")), registry)
    database = Database(parse_url("postgresql://nobody@127.0.0.1:9/none", connect_timeout=1))
    registry.register(LedgerCollector(database, refresh=1))
    registry.register(BrokerCollector("redis://127.0.0.1:9/0", ["fetch"], [0]))
    registry.register(GpuCollector(None))
    names: dict[str, set[str]] = {}
    for collector in registry._collector_to_names:
        for family in collector.describe() if hasattr(collector, "describe") else collector.collect():
            labels = set(getattr(collector, "_labelnames", ())) | set(getattr(family, "_labelnames", ()))
            endings = {"counter": ["_total"], "histogram": ["_bucket", "_sum", "_count"]}.get(family.type, [""])
            for ending in endings:
                names[family.name + ending] = labels | ({"le"} if ending == "_bucket" else set())
    database.close()
    return names


def selectors(node: Any) -> Iterator[tuple[str, set[str]]]:
    """Every series that an expression reads, with the labels that it is chosen by."""
    if isinstance(node, promql_parser.VectorSelector):
        yield node.name, {matcher.name for matcher in node.matchers.matchers}
    for name in ("expr", "lhs", "rhs", "vector_selector", "param"):
        below = getattr(node, name, None)
        if below is not None and not isinstance(below, str):
            yield from selectors(below)
    for below in getattr(node, "args", None) or []:
        yield from selectors(below)


@pytest.mark.parametrize(("where", "expression"), list(expressions()), ids=lambda value: value[:40])
def test_an_expression_reads_what_is_served(where: str, expression: str, served: dict[str, set[str]]) -> None:
    read = list(selectors(promql_parser.parse(expression)))
    assert len(read) == len(re.findall(r"\b(?:comention|process)_\w+|\bup\b", expression)), where
    for name, labels in read:
        assert name in served.keys() | OF_PROMETHEUS, f"{where}: nobody serves {name}"
        if name in served:
            assert labels <= served[name] | {"job", "instance"}, f"{where}: {name} has no such label"


def test_every_figure_of_ours_is_shown_or_watched(served: dict[str, set[str]]) -> None:
    text = "\n".join(expression for _, expression in expressions())
    ours = {re.sub(r"_(bucket|sum|count)$", "", name) for name in served if name.startswith("comention_")}
    unseen = {name for name in ours if name not in text}
    assert unseen == {
        "comention_info",
        "comention_mentions_total",
        "comention_tasks_total",
        "comention_task_seconds",
        "comention_last_progress_timestamp_seconds",
        "comention_open_jobs",
    }


def test_an_alert_says_how_bad_it_is_and_what_to_do() -> None:
    names = [rule["alert"] for rule in rules()]
    assert len(names) == len(set(names))
    for rule in rules():
        assert rule["labels"]["severity"] in ("warning", "critical"), rule["alert"]
        assert set(rule["annotations"]) == {"summary", "action"}, rule["alert"]


def test_every_alert_is_explained_in_the_manual() -> None:
    manual = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    for rule in rules():
        assert f"`{rule['alert']}`" in manual, rule["alert"]


def test_panels_do_not_overlap_and_name_their_source() -> None:
    source = load(ROOT / "deploy/grafana/provisioning/datasources/prometheus.yml")["datasources"][0]["uid"]
    taken: set[tuple[int, int]] = set()
    for panel in panels():
        place = panel["gridPos"]
        cells = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
        assert not cells & taken, panel["title"]
        assert place["x"] + place["w"] <= 24
        taken |= cells
        for target in panel.get("targets", []):
            assert target["datasource"]["uid"] == source


def test_prometheus_asks_services_that_are_there_on_the_port_that_they_serve() -> None:
    services = merged()["services"]
    port = services["fetch"]["environment"]["COMENTION_METRICS__PORT"]
    asked = set()
    for job in load(PROMETHEUS / "prometheus.yml")["scrape_configs"]:
        for found in job.get("dns_sd_configs", []):
            assert str(found["port"]) == port
            asked |= set(found["names"])
        for static in job.get("static_configs", []):
            for target in static["targets"]:
                name, _, of_target = target.partition(":")
                if name != "localhost":
                    assert of_target == port
                    asked.add(name)
    assert asked == {"fetch", "annotate", "metrics"}
    assert asked <= set(services)
    assert load(PROMETHEUS / "prometheus.yml")["rule_files"] == ["alerts.yml"]


def test_the_provisioning_finds_the_dashboard_and_prometheus() -> None:
    grafana = merged()["services"]["grafana"]
    provider = load(ROOT / "deploy/grafana/provisioning/dashboards/comention.yml")["providers"][0]
    mounted = {volume.split(":")[1]: volume.split(":")[0] for volume in grafana["volumes"]}
    folder = ROOT / mounted[provider["options"]["path"]]
    assert (folder / DASHBOARD.name).exists()
    home = grafana["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert home == f"{provider['options']['path']}/{DASHBOARD.name}"
    url = load(ROOT / "deploy/grafana/provisioning/datasources/prometheus.yml")["datasources"][0]["url"]
    assert url == "http://prometheus:9090"


def test_the_rules_do_what_they_say(tmp_path: Path) -> None:
    """Prometheus's own tool, where it is installed: series over time, and the alerts that they raise."""
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed")
    for arguments in (["check", "config", "prometheus.yml"], ["test", "rules", "alerts_test.yml"]):
        done = subprocess.run([promtool, *arguments], cwd=PROMETHEUS, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
