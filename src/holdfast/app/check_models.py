"""What `checks` and `changes` in holdfast.yaml may hold, field by field, with the defaults.

A check is built only where its part is written: what isn't configured isn't asked.
"""

from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address
from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from holdfast.app.strict import NAME, Dsn, Strict, Url

Place = list[int | str]
_REGION = "{region}"


class DatabaseModel(Strict):
    dsn: Dsn
    service: str | None = None


class CacheModel(Strict):
    url: Url
    service: str | None = None


class DiskPathModel(Strict):
    path: str
    limit_bytes: int | None = Field(None, ge=1)
    service: str | None = None


class DiskModel(Strict):
    paths: list[DiskPathModel] = Field(min_length=1)

    @field_validator("paths", mode="before")
    @classmethod
    def _short_form(cls, given: object) -> object:
        """A path alone is a path with nothing else to say about it."""
        if not isinstance(given, list):
            return given
        return [{"path": each} if isinstance(each, str) else each for each in given]


class ServerModel(Strict):
    dsn: Dsn


class ReplicationModel(Strict):
    primary: ServerModel
    standby: ServerModel
    service: str | None = None
    max_lag_bytes: int = Field(16_777_216, ge=1)
    max_lag_s: float = Field(30.0, gt=0)


class QueueCheckModel(Strict):
    url: Url
    lists: list[str] = Field(min_length=1)
    service: str | None = None
    oldest: Literal["right", "left"] = "right"
    age_field: str = Field("at", min_length=1)
    ca_file: str | None = Field(None, min_length=1)
    age_max_s: float = Field(30.0, gt=0)
    depth_max: int = Field(1000, ge=1)
    age_down_s: float | None = Field(None, gt=0)
    depth_down: int | None = Field(None, ge=1)

    @model_validator(mode="after")
    def _regions_are_known(self) -> Self:
        if self.service is None and any(_REGION in name for name in self.lists):
            raise ValueError("a list with {region} needs `service`, whose regions they are")
        return self


class ChangesCheckModel(Strict):
    window_s: float = Field(3600.0, gt=0, le=86_400)


class ProcessesModel(Strict):
    memory_max_bytes: int | None = Field(None, ge=1)
    open_files_share_max: float = Field(0.9, gt=0, le=1)


class TlsModel(Strict):
    host: str = Field(min_length=1)
    port: int = Field(443, ge=1, le=65_535)
    server_name: str | None = Field(None, min_length=1)
    warn_days: float = Field(21.0, ge=0)
    ca_file: str | None = Field(None, min_length=1)
    service: str | None = None


class DnsModel(Strict):
    name: str = Field(min_length=1)
    type: Literal["A", "AAAA"] = "A"
    expect: list[str] = []
    service: str | None = None

    @model_validator(mode="after")
    def _addresses(self) -> Self:
        read, kind = (IPv4Address, "IPv4") if self.type == "A" else (IPv6Address, "IPv6")
        for text in self.expect:
            try:
                read(text)
            except ValueError:
                raise ValueError(f"expect holds {text!r}, which is no {kind} address") from None
        return self


class ChecksModel(Strict):
    """The `checks` section."""

    timeout_s: float = Field(10.0, gt=0, le=60)
    database: DatabaseModel | None = None
    cache: CacheModel | None = None
    disk: DiskModel | None = None
    replication: ReplicationModel | None = None
    queue: QueueCheckModel | None = None
    changes: ChangesCheckModel | None = None
    processes: ProcessesModel | None = None
    tls: list[TlsModel] = []
    dns: list[DnsModel] = []
    plugins: dict[str, dict[str, Any]] = {}

    def services(self) -> Iterator[tuple[Place, str]]:
        """List the services that are named here, each with the field where it stands."""
        for _, field, service in self._places():
            if service is not None:
                yield field, service

    def _places(self) -> Iterator[tuple[str, Place, str | None]]:
        """List what looks at one thing: the check's name, the field of its service, the service."""
        for name, part, model in (
            ("database_connections", "database", self.database),
            ("redis_health", "cache", self.cache),
            ("replication_status", "replication", self.replication),
            ("queue_health", "queue", self.queue),
        ):
            if model is not None:
                yield name, ["checks", part, "service"], model.service
        for number, path in enumerate(self.disk.paths if self.disk else ()):
            yield "disk_usage", ["checks", "disk", "paths", number, "service"], path.service
        for number, host in enumerate(self.tls):
            yield "tls_expiry", ["checks", "tls", number, "service"], host.service
        for number, asked in enumerate(self.dns):
            yield "dns", ["checks", "dns", number, "service"], asked.service
        for name, settings in self.plugins.items():
            if isinstance(service := settings.get("service"), str):
                yield name, ["checks", "plugins", name, "service"], service

    def entities(self) -> dict[str, str]:
        """Say which service a check looks at, where it names one and no second one."""
        found: dict[str, set[str]] = {}
        for name, _, service in self._places():
            if service is not None:
                found.setdefault(name, set()).add(service)
        return {name: next(iter(of)) for name, of in found.items() if len(of) == 1}


class WatchedFileModel(Strict):
    path: str = Field(min_length=1)
    service: str = Field(pattern=NAME)
    region: str | None = None
    kind: Literal["flag", "config", "infra", "schema"] = "config"


class ChangesModel(Strict):
    """The `changes` section: files whose changes are noticed by looking."""

    files: list[WatchedFileModel] = []
    every_s: float = Field(2.0, ge=0.2, le=3600)

    def services(self) -> Iterator[tuple[Place, str]]:
        """List the services that are named here, each with the field where it stands."""
        for number, file in enumerate(self.files):
            yield ["changes", "files", number, "service"], file.service
