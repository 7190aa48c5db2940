"""The compose files: what they refer to is there, and what they promise is so. A validator checks only their form."""

from __future__ import annotations

import re
import shlex
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest

from comention.settings import SettingsError, file_names, load_settings, setting_names
from pipeline.cli import COMMANDS
from tests.conftest import ROOT, run_command
from tests.containers import BASE, OVERRIDES, environment, load, merged

COMPOSED = [None, *OVERRIDES]
SERVICES: dict[str, dict[str, Any]] = merged()["services"]
OURS = {name: service for name, service in SERVICES.items() if service["image"].startswith("comention:")}
WORKERS = ("fetch", "annotate", "beat")


def of_service(services: dict[str, dict[str, Any]] = SERVICES) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("name", sorted(services))


@pytest.mark.parametrize("override", COMPOSED, ids=lambda path: path.name if path else "alone")
def test_what_a_service_refers_to_is_there(override: Path | None) -> None:
    compose = merged(override)
    services = compose["services"]
    for name, service in services.items():
        for needed, how in service.get("depends_on", {}).items():
            assert needed in services, name
            if how["condition"] == "service_healthy":
                assert "healthcheck" in services[needed], name
            if how["condition"] == "service_completed_successfully":
                assert services[needed]["restart"] == "no", name
            # What is started only with a profile cannot be needed by what is started without.
            assert set(services[needed].get("profiles", [])) <= set(service.get("profiles", [])), name
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            assert (ROOT / source).exists() if source.startswith(".") else source in compose["volumes"], name
        for secret in service.get("secrets", []):
            assert secret in compose["secrets"], name
        for value in environment(service).values():
            if value.startswith("/run/secrets/"):
                assert value.removeprefix("/run/secrets/") in service["secrets"], name


@pytest.mark.parametrize("override", COMPOSED, ids=lambda path: path.name if path else "alone")
def test_an_override_changes_only_services_that_are_there(override: Path | None) -> None:
    if override is not None:
        assert set(load(override)["services"]) <= set(SERVICES)


def test_every_secret_is_used_and_can_be_made() -> None:
    used = {secret for service in SERVICES.values() for secret in service.get("secrets", [])}
    secrets = load(BASE)["secrets"]
    assert used == set(secrets)
    made = re.search(r"for name in (.*); do", (ROOT / "deploy/make-secrets.sh").read_text(encoding="utf-8"))
    assert made is not None
    assert set(made[1].split()) == {Path(secret["file"]).name for secret in secrets.values()}


@of_service()
def test_no_secret_stands_in_an_environment_or_a_command_line(name: str) -> None:
    service = SERVICES[name]
    for variable, value in environment(service).items():
        if re.search(r"PASSWORD|TOKEN|SECRET|KEY|PASS\b", variable):
            assert value.startswith("/run/secrets/"), variable
        assert not re.search(r"://[^/@]*:[^/@]+@", value), variable
    assert not re.search(r"--password(?!-file)", " ".join(map(str, service.get("command", []))))


@of_service()
def test_a_service_has_no_more_rights_than_it_needs(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert name in OURS or str(service["user"]).split(":")[0] not in ("0", "root")
    for port in service.get("ports", []):
        assert port.startswith("127.0.0.1:"), "what is published leaves this machine only by somebody's decision"


@of_service()
def test_an_image_is_pinned_to_a_release(name: str) -> None:
    tag = SERVICES[name]["image"].partition(":")[2]
    assert re.search(r"\d+\.\d+", tag), name
    assert "latest" not in tag


@of_service()
def test_a_service_that_stays_has_a_health_check(name: str) -> None:
    service = SERVICES[name]
    assert ("healthcheck" in service) == (service["restart"] == "unless-stopped")


def test_redis_evicts_nothing() -> None:
    command = SERVICES["redis"]["command"]
    assert command[command.index("--maxmemory-policy") + 1] == "noeviction"


@pytest.mark.parametrize("name", WORKERS)
def test_the_engine_waits_longer_than_the_worker(name: str) -> None:
    grace = float(environment(SERVICES[name])["COMENTION_WORKER__GRACE"])
    assert int(SERVICES[name]["stop_grace_period"].removesuffix("s")) >= grace + 10


def test_every_queue_has_a_worker() -> None:
    taken = {
        queue
        for service in OURS.values()
        if service["command"][0] == "worker"
        for queue in service["command"][service["command"].index("--queues") + 1].split(",")
    }
    assert taken == {"fetch", "annotate", "default"}


@pytest.mark.parametrize("override", COMPOSED, ids=lambda path: path.name if path else "alone")
def test_our_services_set_settings_that_exist(override: Path | None) -> None:
    known = {*setting_names(), *file_names()}
    for name in OURS:
        for variable in environment(merged(override)["services"][name]):
            assert variable in known, f"{name}: {variable}"


@of_service(OURS)
def test_our_services_can_use_their_settings(name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The settings are read as in the container, with files of its secrets in another place."""
    for variable, value in environment(OURS[name]).items():
        if variable.endswith("_FILE"):
            path = tmp_path / variable
            path.write_text("0123456789abcdef0123456789abcdef\n", encoding="utf-8")
            value = str(path)
        monkeypatch.setenv(variable, value)
    settings = load_settings()
    assert settings.database.password is not None
    assert settings.log.format == "json"
    assert settings.metrics.port == 9108
    if name == "dashboard":
        monkeypatch.delenv("COMENTION_DASHBOARD__TOKEN_FILE")
        monkeypatch.setenv("COMENTION_DASHBOARD__TOKEN", "short")
        with pytest.raises(SettingsError, match="COMENTION_DASHBOARD__TOKEN"):
            load_settings()


@of_service(OURS)
def test_a_command_line_is_one_that_the_program_takes(name: str, tmp_path: Path) -> None:
    """Each exact command line, with `--help` behind it: its options are read first, and no server is asked."""
    command = [str(part) for part in OURS[name]["command"]]
    assert command[0] in COMMANDS
    given = tmp_path / "secret"
    given.write_text("secret", encoding="utf-8")
    command = [str(given) if part.startswith("/run/secrets/") else part for part in command]
    outcome = run_command(*command, "--help")
    assert outcome.status == 0, outcome.stderr
    assert outcome.stdout.startswith("Usage: comention")
    refused = run_command(*command, "--no-such-option")
    assert refused.status == 2


@pytest.mark.parametrize("name", WORKERS)
def test_a_health_check_says_that_there_is_no_worker(name: str, tmp_path: Path) -> None:
    test = SERVICES[name]["healthcheck"]["test"]
    assert test[:2] == ["CMD", "comention"]
    outcome = run_command(*test[2:], COMENTION_WORKER__STATE_FOLDER=str(tmp_path))
    assert outcome.status == 1
    assert "Traceback" not in outcome.stderr


def test_the_dockerfile_installs_extras_that_exist_and_builds_what_is_asked_for() -> None:
    dockerfile = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    assert set(re.findall(r"--extra (\S+)", dockerfile)) <= set(extras)
    stages = re.findall(r"^FROM \S+ AS (\S+)", dockerfile, re.MULTILINE)
    assert stages[-1] == "cpu", "the last stage is what is built where none is named"
    for path in (BASE, *OVERRIDES):
        for service in load(path)["services"].values():
            if "build" in service:
                assert service["build"]["target"] in stages
    for image in re.findall(r"^FROM (\S+)", dockerfile, re.MULTILINE):
        assert image in stages or re.search(r":\d+\.\d+\.\d+", image), image
    assert re.search(r"^USER 10001:10001$", dockerfile, re.MULTILINE)


def test_what_an_image_is_made_of_is_not_left_out_of_its_context() -> None:
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").split()
    packages = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["hatch"]["build"]
    assert not set(packages["targets"]["wheel"]["packages"]) & set(ignored)
    assert "deploy/secrets" in ignored


def test_secrets_are_made_once_and_can_be_read_by_the_services(tmp_path: Path) -> None:
    script = tmp_path / "make-secrets.sh"
    script.write_text((ROOT / "deploy/make-secrets.sh").read_text(encoding="utf-8"), encoding="utf-8")
    (tmp_path / "secrets").mkdir()
    command = shlex.split(f"sh {script}")
    subprocess.run(command, check=True, capture_output=True)
    written = {path.name: path.read_text(encoding="utf-8") for path in (tmp_path / "secrets").iterdir()}
    assert len(set(written.values())) == len(written) == len(load(BASE)["secrets"])
    assert all(re.fullmatch("[0-9a-f]{48}", secret) for secret in written.values())
    assert (tmp_path / "secrets").stat().st_mode & 0o777 == 0o700
    assert all(path.stat().st_mode & 0o444 == 0o444 for path in (tmp_path / "secrets").iterdir())
    subprocess.run(command, check=True, capture_output=True)
    assert written == {path.name: path.read_text(encoding="utf-8") for path in (tmp_path / "secrets").iterdir()}
