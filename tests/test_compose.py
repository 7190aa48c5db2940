"""The compose file: what it refers to is there. A validator checks its form; it does not check references."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from pipeline.cli import COMMANDS
from tests.conftest import ROOT


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
    return loaded


def test_every_dependency_is_a_service(compose: dict[str, Any]) -> None:
    services = compose["services"]
    for name, service in services.items():
        for needed, how in service.get("depends_on", {}).items():
            assert needed in services, name
            if how["condition"] == "service_healthy":
                assert "healthcheck" in services[needed], name


def test_every_volume_is_declared(compose: dict[str, Any]) -> None:
    for name, service in compose["services"].items():
        for volume in service.get("volumes", []):
            assert volume.split(":")[0] in compose["volumes"], name


def test_every_image_is_pinned(compose: dict[str, Any]) -> None:
    for name, service in compose["services"].items():
        tag = service["image"].partition(":")[2]
        assert tag, name
        assert tag != "latest", name


def test_our_services_run_commands_that_exist(compose: dict[str, Any]) -> None:
    ours = [service for service in compose["services"].values() if service["image"].startswith("comention:")]
    assert ours
    assert {service["command"][0] for service in ours} <= set(COMMANDS)


def test_redis_evicts_nothing(compose: dict[str, Any]) -> None:
    assert "noeviction" in compose["services"]["redis"]["command"]
