"""`comention serve`: in a process of its own, over a database of its own."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys

import httpx2
import pytest

from comention.errors import ServeError
from comention.settings import DashboardSettings
from dashboard.serving import check_bind, listen
from tests.conftest import command_environment, run_command
from tests.dashboard.served import serving


def test_it_serves_until_a_signal_ends_it(database_address: str) -> None:
    with serving(database_address) as (process, address):
        assert httpx2.get(address).status_code == 200
        assert httpx2.get(f"{address}healthz").text == "ok\n"
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 128 + signal.SIGTERM


def test_a_proxy_may_show_it_under_a_path(database_address: str) -> None:
    with serving(database_address, "--root-path", "/reports/") as (_, address):
        for path in ("", "drug?name=x", "static/comention.css"):
            answer = httpx2.get(address + path)
            assert answer.status_code == (404 if "drug" in path else 200)
            assert set(re.findall(r'(?:href|src|action|data-suggest)="(/[^/"]*)', answer.text)) <= {"/reports"}
        assert 'href="/reports/sentences"' in httpx2.get(address).text
        assert httpx2.get(f"{address}api/v1/openapi.json").json()["servers"] == [{"url": "/reports/api"}]
        refused = httpx2.get(f"{address}api/v1/drug?name=x", headers={"Accept": "text/html"}).json()
        assert (refused["type"], refused["instance"]) == (
            "/reports/api/v1/problems#unknown-name",
            "/reports/api/v1/drug?name=x",
        )


def test_it_does_not_listen_to_others_without_a_token() -> None:
    for host in ("0.0.0.0", "::", "192.0.2.1", "example.org"):
        with pytest.raises(ServeError, match="COMENTION_DASHBOARD__TOKEN"):
            check_bind(DashboardSettings(host=host))
    check_bind(DashboardSettings(host="0.0.0.0", token="a token of 16 or more"))
    refused = run_command("serve", "--host", "0.0.0.0")
    assert (refused.status, len(refused.stderr.splitlines())) == (1, 1)
    assert "COMENTION_DASHBOARD__TOKEN" in refused.stderr


def test_a_short_token_is_refused_and_not_shown() -> None:
    refused = run_command("serve", COMENTION_DASHBOARD__TOKEN="hunter2")
    assert refused.status == 1
    assert "COMENTION_DASHBOARD__TOKEN" in refused.stderr
    assert "hunter2" not in refused.stderr


def test_a_port_that_is_taken_is_said_in_a_sentence(database_address: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        refused = run_command("serve", "--port", port, COMENTION_DATABASE__URL=database_address)
    assert refused.status == 1
    assert f"127.0.0.1 port {port} cannot be listened on" in refused.stderr
    assert len(refused.stderr.splitlines()) == 1


def test_the_command_line_does_without_the_packages_of_the_dashboard() -> None:
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "import sys\nfor name in ('fastapi', 'uvicorn', 'jinja2'): sys.modules[name] = None\n"
            "sys.argv[0] = 'comention'\nfrom pipeline.cli import main\nmain(['serve'])",
        ],
        env=command_environment(COMENTION_DATABASE__URL="postgresql://nobody@127.0.0.1:9/none"),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1


def test_an_answer_does_not_wait_for_the_browser_to_confirm_its_beginning() -> None:
    with (
        listen("127.0.0.1", 0) as listening,
        socket.create_connection(listening.getsockname()),
        listening.accept()[0] as accepted,
    ):
        assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) != 0
