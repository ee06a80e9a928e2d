"""Every setting of the app and the runner, read once from the environment. docs/settings.md lists them all."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from webapp.errors import SettingsError

LOOPBACK = ("127.0.0.1", "::1", "localhost")


@dataclass(frozen=True)
class Settings:
    """Plain values; secrets do not show in ``repr``. One variable a field, named in ``from_environment``."""

    staging_path: Path
    database_url: str = field(repr=False)
    bind_host: str = "127.0.0.1"
    port: int = 3000
    app_processes: int = 2
    worker_url: str | None = None
    nats_url: str | None = field(default=None, repr=False)
    callback_url: str | None = None
    callback_secrets: tuple[str, ...] = field(default=(), repr=False)
    access_token: str | None = field(default=None, repr=False)
    secret_key: str | None = field(default=None, repr=False)
    allowed_origins: tuple[str, ...] = ()
    allowed_hosts: tuple[str, ...] = ()
    callback_origins: tuple[str, ...] = ()
    local_roots: tuple[Path, ...] = ()
    uploads_bucket: str = "kalla-uploads"
    results_bucket: str = "kalla-results"
    s3_endpoint: str | None = None
    s3_public_endpoint: str | None = None
    gcs_bucket: str | None = None
    evidence_cache_bytes: int = 2_147_483_648
    max_upload_bytes: int = 2_147_483_648
    max_workbook_bytes: int = 536_870_912
    upload_ttl_days: int = 7
    run_stale_seconds: int = 300
    anthropic_api_key: str | None = field(default=None, repr=False)
    anthropic_base_url: str | None = None
    anthropic_model: str | None = None
    agent_max_steps: int = 16
    agent_turn_seconds: int = 120
    llm_sample_rows: int = 20
    chat_per_minute: int = 120
    log_level: str = "info"
    runner_port: int = 8080
    partitions: int = 4
    max_jobs: int = 4
    queue_size: int = 64
    job_timeout_seconds: int = 21_600
    memory_limit: str | None = None
    scratch_path: Path | None = None
    exchange: str | None = None
    runner: str = "direct"
    job_endpoint: str | None = None
    worker_pool: str = "localhost:50000"
    master_url: str | None = None
    parallelism: int | None = None
    engine: str = "auto"
    sql_service: str | None = None

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Settings:
        """Raises SettingsError ``settings.invalid`` for a value that is none."""
        read = _Reader(environment)
        staging = Path(read.text("STAGING_PATH", "./staging")).absolute()
        s3_endpoint, gcs_bucket = _store(read)
        return cls(
            staging_path=staging,
            database_url=read.text("DATABASE_URL", f"sqlite:///{staging / 'kalla.db'}"),
            bind_host=read.text("BIND_HOST", "127.0.0.1"),
            port=read.whole("PORT", 3000, 0, 65_535),
            app_processes=read.whole("KALLA_APP_PROCESSES", min(2, os.cpu_count() or 1), 1, 64),
            worker_url=read.optional("WORKER_URL"),
            nats_url=read.optional("NATS_URL"),
            callback_url=read.optional("KALLA_CALLBACK_URL"),
            callback_secrets=read.several("KALLA_CALLBACK_SECRET"),
            access_token=read.optional("KALLA_ACCESS_TOKEN"),
            secret_key=read.optional("KALLA_SECRET_KEY"),
            allowed_origins=read.several("KALLA_ALLOWED_ORIGINS"),
            allowed_hosts=read.several("KALLA_ALLOWED_HOSTS"),
            callback_origins=read.several("KALLA_CALLBACK_ORIGINS"),
            local_roots=tuple(Path(p).absolute() for p in read.several("KALLA_LOCAL_ROOTS", ":")),
            uploads_bucket=read.text("S3_UPLOADS_BUCKET", "kalla-uploads"),
            results_bucket=read.text("S3_RESULTS_BUCKET", "kalla-results"),
            s3_endpoint=s3_endpoint,
            s3_public_endpoint=read.optional("S3_PUBLIC_ENDPOINT") or s3_endpoint,
            gcs_bucket=gcs_bucket,
            evidence_cache_bytes=read.whole("KALLA_EVIDENCE_CACHE_BYTES", 2_147_483_648, 0),
            max_upload_bytes=read.whole("KALLA_MAX_UPLOAD_BYTES", 2_147_483_648, 1),
            max_workbook_bytes=read.whole("KALLA_MAX_WORKBOOK_BYTES", 536_870_912, 1),
            upload_ttl_days=read.whole("KALLA_UPLOAD_TTL_DAYS", 7, 1),
            run_stale_seconds=read.whole("KALLA_RUN_STALE_SECONDS", 300, 1),
            anthropic_api_key=read.optional("ANTHROPIC_API_KEY"),
            anthropic_base_url=read.optional("ANTHROPIC_BASE_URL"),
            anthropic_model=read.optional("ANTHROPIC_MODEL"),
            agent_max_steps=read.whole("KALLA_AGENT_MAX_STEPS", 16, 1, 200),
            agent_turn_seconds=read.whole("KALLA_AGENT_TURN_SECONDS", 120, 5, 3600),
            llm_sample_rows=read.whole("KALLA_LLM_SAMPLE_ROWS", 20, 0, 1000),
            chat_per_minute=read.whole("KALLA_CHAT_PER_MINUTE", 120, 1),
            log_level=read.one_of("LOG_LEVEL", "info", ("trace", "debug", "info", "warn", "error")),
            runner_port=read.whole("HTTP_PORT", 8080, 0, 65_535),
            partitions=read.whole("KALLA_PARTITIONS", 4, 1, 1024),
            max_jobs=read.whole("MAX_CONCURRENT_JOBS", 4, 1),
            queue_size=read.whole("KALLA_QUEUE_SIZE", 64, 1),
            job_timeout_seconds=read.whole("KALLA_JOB_TIMEOUT_SECONDS", 21_600, 1),
            memory_limit=read.optional("KALLA_MEMORY_LIMIT"),
            **_scratch(read),
            runner=read.one_of("KALLA_RUNNER", "direct", ("direct", "flink", "spark", "auto")),
            job_endpoint=read.optional("KALLA_JOB_ENDPOINT"),
            worker_pool=read.text("KALLA_WORKER_POOL", "localhost:50000"),
            master_url=read.optional("KALLA_MASTER_URL"),
            parallelism=read.whole("KALLA_PARALLELISM", 0, 0, 4096) or None,
            engine=read.one_of("KALLA_ENGINE", "auto", ("auto", "vectorized", "beam-sql")),
            sql_service=read.optional("KALLA_SQL_SERVICE"),
        )

    @property
    def store(self) -> str:
        """Where uploads and evidence lie: ``s3``, ``gs``, or "" for this machine."""
        if self.gcs_bucket is not None:
            return "gs"
        return "s3" if self.s3_endpoint is not None else ""

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach the service."""
        return self.bind_host in LOOPBACK

    @property
    def readable_roots(self) -> tuple[Path, ...]:
        """Folders that local sources may lie in."""
        return (self.staging_path, *self.local_roots)


def _scratch(read: _Reader) -> dict[str, Any]:
    """A folder, absolute, or one of an object store, through which the machines of a cluster exchange files."""
    named = read.optional("KALLA_STAGING")
    if named is None or "://" not in named:
        return {} if named is None else {"scratch_path": Path(named).absolute()}
    from connectors import ConnectorError, ObjectFolder  # which load the engine: an app without a store starts sooner

    try:
        ObjectFolder.at(named)
    except ConnectorError as error:  # which does not repeat what may hold a password
        raise SettingsError(f"KALLA_STAGING: {error.message}", hint=f"Name a folder. Or: {error.hint}") from error
    if read.text("KALLA_RUNNER", "direct") == "direct":
        raise SettingsError(
            "KALLA_STAGING names an object store, and runs on this machine keep scratch data in a folder.",
            hint="Name a folder, or a cluster in KALLA_RUNNER and KALLA_JOB_ENDPOINT.",
        )
    return {"exchange": named}


def _store(read: _Reader) -> tuple[str | None, str | None]:
    """S3 endpoint and Google bucket; the keys of either are the connectors' business."""
    names = [name for name in ("S3_ENDPOINT", "AWS_ENDPOINT_URL") if read.optional(name)]
    bucket = read.optional("GCS_BUCKET")
    if names and bucket:
        raise SettingsError(f"{names[0]} and GCS_BUCKET are both set.", hint="Uploads and results lie in one store.")
    return read.optional(names[0]) if names else None, bucket


class _Reader:
    """Values of an environment; blank ones count as not set."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment

    def optional(self, name: str) -> str | None:
        return self._environment.get(name, "").strip() or None

    def text(self, name: str, default: str) -> str:
        return self.optional(name) or default

    def several(self, name: str, separator: str = ",") -> tuple[str, ...]:
        parts = (part.strip() for part in self._environment.get(name, "").split(separator))
        return tuple(part for part in parts if part)

    def whole(self, name: str, default: int, least: int, most: int | None = None) -> int:
        text = self.optional(name)
        if text is None:
            return default
        number = int(text) if text.isdecimal() else -1
        if number < least or (most is not None and number > most):
            limit = f"from {least:,} to {most:,}" if most is not None else f"of at least {least:,}"
            raise SettingsError(f"{name} is {text!r}.", hint=f"Give it a whole number {limit}.")
        return number

    def one_of(self, name: str, default: str, allowed: tuple[str, ...]) -> str:
        text = self.text(name, default).lower()
        if text not in allowed:
            raise SettingsError(f"{name} is {text!r}.", hint=f"Use {', '.join(allowed)}.")
        return text
