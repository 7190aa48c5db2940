"""The files that containers are made and run from, read as an engine would: with what one file takes over from another."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from tests.conftest import ROOT

BASE = ROOT / "docker-compose.yml"
OVERRIDES = [ROOT / "docker-compose.gpu.yml", *sorted((ROOT / "deploy").glob("compose.*.yml"))]


def load(path: Path) -> dict[str, Any]:
    """Read a file of YAML; a key that stands twice is refused, as an engine refuses it."""
    loaded: dict[str, Any] = yaml.load(path.read_text(encoding="utf-8"), Loader=_Strict)
    return loaded


def merged(override: Path | None = None) -> dict[str, Any]:
    """Return the compose file with one of its overrides, by the rules of the compose specification for what they hold."""
    base = load(BASE)
    if override is not None:
        _merge(base, load(override))
    return base


def interpolated(text: str) -> str:
    """Put the default in the place of a variable that has one."""
    return re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", text)


def environment(service: dict[str, Any]) -> dict[str, str]:
    """Return what a service finds in its environment."""
    return {name: interpolated(str(value)) for name, value in service.get("environment", {}).items()}


def _merge(below: dict[str, Any], above: dict[str, Any]) -> None:
    for key, value in above.items():
        if isinstance(value, dict) and isinstance(below.get(key), dict):
            below[key] = dict(below[key])  # an anchor shares it with other services
            _merge(below[key], value)
        elif isinstance(value, list) and isinstance(below.get(key), list) and key not in ("command", "test"):
            below[key] = [*below[key], *value]
        else:
            below[key] = value


class _Strict(yaml.SafeLoader):
    """A loader that refuses a key that stands twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        names = [key.value for key, _ in node.value if key.value != "<<"]
        doubled = {name for name in names if names.count(name) > 1}
        if doubled:
            raise yaml.constructor.ConstructorError(None, None, f"{doubled} twice", node.start_mark)
        return super().construct_mapping(node, deep)
