"""Settings from files: ``COMENTION_DATABASE__PASSWORD_FILE`` names the file that holds ``COMENTION_DATABASE__PASSWORD``.

An engine shows the environment of its containers to whoever may ask it; a secret that it mounts as a file it does not.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, EnvSettingsSource, PydanticBaseSettingsSource

from comention.errors import SettingsError

LONGEST = 16_384
"""Bytes that such a file may have at most: a larger one is another file."""


def secret_names(settings: type[BaseSettings]) -> dict[str, tuple[str, str]]:
    """Return the variable of every secret, without ``_FILE``, with its group and its name in the group."""
    prefix = settings.model_config.get("env_prefix", "")
    return {
        f"{prefix}{group}__{name}".upper(): (group, name)
        for group, field in settings.model_fields.items()
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel)
        for name, inner in field.annotation.model_fields.items()
        if SecretStr in getattr(inner.annotation, "__args__", (inner.annotation,))
    }


class WithoutFiles(EnvSettingsSource):
    """Reads the environment less the variables that name files: to a group they would be settings that it does not have."""

    def _load_env_vars(self) -> Mapping[str, str | None]:
        files = {f"{name}_FILE" for name in secret_names(self.settings_cls)}
        return {name: value for name, value in super()._load_env_vars().items() if name.upper() not in files}


class SecretFiles(PydanticBaseSettingsSource):
    """Reads the files that variables ending in ``_FILE`` name."""

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        """Return the secrets of one group, its name, and that they need no parsing."""
        del field
        return self().get(field_name), field_name, False

    def __call__(self) -> dict[str, Any]:
        """Return the secrets, by group.

        Raises:
            SettingsError: a file cannot be read or is empty, or the same secret stands in the environment too.
        """
        found: dict[str, dict[str, str]] = {}
        for name, (group, inner) in secret_names(self.settings_cls).items():
            if path := os.environ.get(f"{name}_FILE"):
                if name in os.environ:
                    raise SettingsError(f"{name} and {name}_FILE are both set: unset one of them")
                found.setdefault(group, {})[inner] = read_secret(f"{name}_FILE", Path(path))
        return found


def read_secret(name: str, path: Path) -> str:
    """Return what a file holds, without the space around it; ``name`` is what led to the file.

    Raises:
        SettingsError: it cannot be read, is empty, or no secret.
    """
    try:
        with path.open("rb") as file:
            content = file.read(LONGEST + 1)
        text = content.decode("utf-8").strip()
    except (OSError, ValueError) as error:  # ValueError: not UTF-8, or a NUL in the path
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise SettingsError(f"{path}, which {name} names, cannot be read: {reason}") from None
    if not text:
        raise SettingsError(f"{path}, which {name} names, is empty: write the secret into it")
    if len(content) > LONGEST:
        raise SettingsError(f"{path}, which {name} names, is no secret: it has more than {LONGEST:,} bytes")
    return text
