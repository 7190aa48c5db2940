"""Settings: from environment variables, from files that these name, from ``comention.toml`` in the working folder, or from
their defaults, in that order.

``COMENTION_DATABASE__URL`` is ``settings.database.url``. Nothing here is instantiated on import: commands load the settings
once and pass them on.
"""

from __future__ import annotations

import difflib
import os
import tomllib
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)
from pydantic_settings import (
    SettingsError as SettingsParseError,
)

from comention.errors import SettingsError
from comention.secret_files import SecretFiles, WithoutFiles, secret_names


def default_home() -> Path:
    """The platform's folder for a user's data, ``~/.local/share/comention`` on Linux."""
    from platformdirs import user_data_path

    return user_data_path("comention", appauthor=False)


class _Group(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class DatabaseSettings(_Group):
    """Which Postgres to use."""

    url: SecretStr | None = Field(
        default=None, description="postgresql://user:password@host/name; unset: the embedded Postgres"
    )
    password: SecretStr | None = Field(
        default=None, description="takes the place of the one in the address, which may then do without"
    )
    connect_timeout: int = Field(default=10, ge=1, description="seconds until an unreachable server is given up")


class RedisSettings(_Group):
    """Which Redis or Valkey to use."""

    url: SecretStr | None = Field(default=None, description="redis://host:port/0; unset: the embedded Valkey")


class NcbiSettings(_Group):
    """How to speak with NCBI's E-utilities."""

    email: str | None = Field(default=None, description="your address; NCBI asks for one with every request")
    api_key: SecretStr | None = Field(default=None, description="raises the limit from 3 to 10 requests a second")
    tool: str = Field(default="comention", description="the name this program gives itself")
    base_url: str = Field(
        default="https://eutils.ncbi.nlm.nih.gov/entrez/eutils/", description="where the E-utilities are"
    )
    mirror: str = Field(
        default="https://ftp.ncbi.nlm.nih.gov/pubmed/",
        description="where `baseline/` and `updatefiles/` are: an address with https:// or ftp://, or a folder",
    )
    timeout: float = Field(default=60.0, gt=0, description="seconds to wait for an answer")
    attempts: int = Field(default=6, ge=1, description="how often one request is tried")
    batch_size: int = Field(default=200, ge=1, le=10_000, description="records asked for in one request")


DEVICES = r"^(auto|cpu|cuda(:[0-9]+)?)$"
"""What a device may be called."""


class AnnotateSettings(_Group):
    """How sentences are annotated."""

    annotator: str = Field(default="compact", description="the annotator used where none is named")
    device: str = Field(
        default="auto",
        pattern=DEVICES,
        description="auto, cpu, cuda or cuda:N; auto takes a GPU where there is one",
    )
    threads: int | None = Field(default=None, ge=1, description="worker threads on the CPU; unset: one a core")
    labels: Path | None = Field(
        default=None,
        description="a TOML file that says what a model's labels mean and what they are called, or ade or craft",
    )
    allow_pickle: bool = Field(
        default=False, description="read weights that have no safetensors file; do so only if you trust their author"
    )
    precision: str = Field(
        default="auto",
        pattern="^(auto|fp32|bf16|int8)$",
        description="auto takes int8 for BERT models on a CPU that multiplies it, else bf16 where the device has it, else fp32",
    )
    batch_tokens: int | None = Field(
        default=None, ge=1, description="word pieces in one forward pass; unset: as suits the device and the model"
    )
    batch_citations: int = Field(default=64, ge=1, description="citations annotated and stored in one transaction")


class WorkSettings(_Group):
    """How workers share the work."""

    lease_seconds: float = Field(
        default=60.0, gt=0, description="seconds for which a piece of work is one worker's; then others take it"
    )
    sweep_seconds: float = Field(default=15.0, gt=0, description="how often it is looked what is owed and nobody does")
    slice_seconds: float = Field(
        default=20.0, gt=0, description="seconds after which a task that goes on makes room for a more urgent one"
    )
    fetch_batch: int = Field(default=400, ge=1, le=10_000, description="PMIDs that a worker fetches at a time")
    backlog: int = Field(
        default=50_000, ge=1, description="citations waiting for the annotator at which fetching pauses"
    )
    nice: int | None = Field(
        default=None,
        ge=0,
        le=19,
        description="how far fetching and annotating, and what a Postgres on the same machine does for them, give way to "
        "whoever else wants the processors: 0 not at all, 19 wholly; unset: 19 with the embedded Postgres, 0 with another",
    )
    nightly_hour: int = Field(default=2, ge=0, le=23, description="hour (UTC) of the nightly upkeep")
    nightly_updates: bool = Field(default=False, description="apply PubMed's update files every night")
    verify_sample: int = Field(default=200, ge=1, description="drugs whose counts are recounted every night")


class WorkerSettings(_Group):
    """How worker processes are kept. Times are seconds."""

    fetch_threads: int = Field(default=4, ge=1, description="batches that a worker fetches at once")
    annotate_threads: int = Field(
        default=2, ge=1, description="batches that a worker annotates at once; one is computed while another is stored"
    )
    grace: float = Field(
        default=25.0,
        gt=0,
        description="time that work in hand is given when a worker is asked to end; then it is killed",
    )
    start_limit: float = Field(default=60.0, gt=0, description="until a worker that was started has to take messages")
    silence_limit: float = Field(default=30.0, gt=0, description="without a sign, after which a worker is replaced")
    idle_limit: float = Field(
        default=45.0, gt=0, description="without taking a message although some wait, after which a worker is replaced"
    )
    task_limit: float = Field(
        default=900.0, gt=0, description="without a commit by a task in hand, after which its worker is replaced"
    )
    state_folder: Path | None = Field(
        default=None,
        description="where workers say how they are, for --healthcheck; unset: a private folder for temporary files",
    )


class LogSettings(_Group):
    """What workers write to stderr about their work."""

    format: str = Field(
        default="auto",
        pattern="^(auto|console|json)$",
        description="json: one object a line; auto takes console on a terminal and json elsewhere",
    )
    level: str = Field(
        default="info",
        pattern="^(debug|info|warning|error)$",
        description="the least that is written; debug names every PMID of a batch",
    )


class MetricsSettings(_Group):
    """Where figures are served for Prometheus."""

    port: int | None = Field(
        default=None,
        ge=1,
        le=65_535,
        description="the port on which each worker serves its own; unset: none are served",
    )
    host: str = Field(default="127.0.0.1", description="the address to listen on; 0.0.0.0 in a container")
    refresh: float = Field(
        default=30.0, gt=0, description="seconds for which what `comention metrics` has counted in the database holds"
    )


class TracingSettings(_Group):
    """Where traces go, with the extra ``otel``."""

    endpoint: str | None = Field(
        default=None,
        pattern="^https?://",
        description="an OpenTelemetry collector, such as http://collector:4318/v1/traces; unset: no traces",
    )


class DashboardSettings(_Group):
    """Where the dashboard listens, and who may read it."""

    host: str = Field(default="127.0.0.1", description="the address that `comention serve` listens on")
    port: int = Field(default=8417, ge=0, le=65_535, description="its port; 0 takes any that is free")
    token: SecretStr | None = Field(
        default=None,
        min_length=16,
        description="who reads the dashboard logs in with it; needed to listen on anything but loopback",
    )
    session_hours: float = Field(default=12.0, gt=0, le=24 * 90, description="hours until a login ends")
    statement_timeout: float = Field(default=20.0, gt=0, description="seconds until Postgres stops a question")
    connections: int = Field(default=8, ge=1, le=100, description="connections to Postgres at once")
    api_per_minute: int = Field(
        default=1_200, ge=0, description="requests to /api that a client may send in a minute; 0: as many as it likes"
    )
    api_burst: int = Field(default=100, ge=1, description="of them, how many may come at once")


class Settings(BaseSettings):
    """Every setting of comention."""

    model_config = SettingsConfigDict(
        env_prefix="COMENTION_",
        env_nested_delimiter="__",
        extra="forbid",
        frozen=True,
        toml_file="comention.toml",
    )

    home: Path = Field(default_factory=default_home, description="where the embedded servers keep their data")
    database: DatabaseSettings = DatabaseSettings()
    redis: RedisSettings = RedisSettings()
    ncbi: NcbiSettings = NcbiSettings()
    annotate: AnnotateSettings = AnnotateSettings()
    work: WorkSettings = WorkSettings()
    worker: WorkerSettings = WorkerSettings()
    log: LogSettings = LogSettings()
    metrics: MetricsSettings = MetricsSettings()
    tracing: TracingSettings = TracingSettings()
    dashboard: DashboardSettings = DashboardSettings()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Order the sources: arguments, environment, files, ``comention.toml``."""
        values = WithoutFiles(settings_cls)
        return init_settings, values, SecretFiles(settings_cls), TomlConfigSettingsSource(settings_cls)


NOT_SETTINGS = frozenset({"COMENTION_CORPORA", "COMENTION_TRACEBACK"})
"""Variables of ours that are no settings: where tests find corpora, and whether a defect shows its traceback."""


def file_names() -> list[str]:
    """Return the environment variables that name a file with a secret."""
    return [f"{name}_FILE" for name in secret_names(Settings)]


def setting_names() -> list[str]:
    """Return the environment variable of every setting."""
    names = []
    for name, field in Settings.model_fields.items():
        group = field.annotation
        if isinstance(group, type) and issubclass(group, _Group):
            names += [f"COMENTION_{name}__{inner}".upper() for inner in group.model_fields]
        else:
            names.append(f"COMENTION_{name}".upper())
    return names


def load_settings() -> Settings:
    """Load the settings.

    Raises:
        SettingsError: a value cannot be used, or a variable looks like a setting and is none. The message names the setting
            and never shows a value.

    """
    known = {*setting_names(), *file_names(), *NOT_SETTINGS}
    for name in sorted(os.environ):
        if name.startswith("COMENTION_") and name.upper() not in known:
            similar = difflib.get_close_matches(name, known, n=1)
            hint = f": did you mean {similar[0]}?" if similar else f"; they are {', '.join(sorted(known))}"
            raise SettingsError(f"there is no setting {name}{hint}")
    try:
        return Settings()
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        where = "COMENTION_" + "__".join(str(part).upper() for part in first["loc"])
        raise SettingsError(f"the setting {where} cannot be used: {first['msg'].lower()}") from None
    except SettingsParseError as error:
        raise SettingsError(f"a setting cannot be read: {error}") from None
    except (tomllib.TOMLDecodeError, OSError) as error:
        raise SettingsError(f"comention.toml in {Path.cwd()} cannot be read: {error}") from None
