"""What processes that we start are told of the servers that are open."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import SecretStr

from comention.settings import DatabaseSettings, RedisSettings, Settings, WorkSettings
from pipeline.processes.servers import open_servers
from storage.database import Database

REDIS = RedisSettings(url=SecretStr("redis://127.0.0.1:9/0"))


def test_workers_of_an_embedded_postgres_give_way_unless_told_otherwise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("COMENTION_WORK__NICE")
    with open_servers(Settings(home=tmp_path, redis=REDIS)) as servers:
        assert servers.environment["COMENTION_WORK__NICE"] == "19"
        with open_servers(Settings(home=tmp_path, redis=REDIS, work=WorkSettings(nice=3))) as told:
            assert set(told.environment) == {"COMENTION_DATABASE__URL"}


def test_workers_of_another_postgres_are_told_nothing(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COMENTION_WORK__NICE")
    address = DatabaseSettings(url=SecretStr(database.url.render_as_string(hide_password=False)))
    with open_servers(Settings(database=address, redis=REDIS)) as servers:
        assert servers.environment == {}
