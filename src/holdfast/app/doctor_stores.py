"""Looks at what Holdfast logs in to: databases, caches and queues, supervisord, HAProxy, releases.

A role that a check uses must only be able to read; what an action uses must be able to act, and
must be changeable by nobody else.
"""

import os
import socket
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, cast

from holdfast.actions.places import filled
from holdfast.actions.unleash_api import Unleash
from holdfast.app.doctor_findings import (
    Finding,
    Level,
    Look,
    Probe,
    RoleFacts,
    failed,
    fine,
    found,
    judge_clock,
    judge_place_rights,
    judge_role,
)
from holdfast.app.doctor_kubernetes import judge_cluster
from holdfast.app.doctor_systemd import judge_units
from holdfast.app.ledger_place import database_address
from holdfast.checks.postgres import read_only_session
from holdfast.checks.rabbitmq_depths import SCHEMES, queue_depths
from holdfast.checks.supervisord import process_table
from holdfast.checks.valkey_client import valkey_client
from holdfast.kernel.catalogue import Service
from holdfast.kernel.errors import HoldfastError
from holdfast.response.ports import TargetUnreachableError

_DATABASES, _CACHES, _CONTROL = "databases", "caches and queues", "control"
# What the role may do to tables that are not the server's own, and whether it is a reader at all.
_ROLE = """
with own as (
    select c.oid, c.oid::regclass::text as name from pg_class c
    join pg_namespace n on n.oid = c.relnamespace
    where c.relkind in ('r', 'p') and n.nspname not in ('pg_catalog', 'information_schema')
      and n.nspname not like 'pg\\_%%' and has_schema_privilege(n.oid, 'USAGE')
      and has_table_privilege(c.oid, 'INSERT, UPDATE, DELETE, TRUNCATE'))
select current_user as role, r.rolsuper as superuser,
    (select count(*) from own) as writable, (select min(name) from own) as example,
    exists (select from pg_namespace n where n.nspname not like 'pg\\_%%'
        and n.nspname <> 'information_schema' and has_schema_privilege(n.oid, 'CREATE'))
        as may_create,
    pg_has_role('pg_monitor', 'member') as sees_activity,
    pg_is_in_recovery() as standby, extract(epoch from clock_timestamp())::float8 as at
from pg_roles r where r.rolname = current_user
"""


class _OutOfReachError(HoldfastError):
    """A store can't be looked at. The message says why."""


def store_probes(look: Look) -> Iterator[Probe]:
    """List every store and every means of control."""
    yield from _databases(look)
    yield from _caches(look)
    for service in look.installation.catalogue.services.values():
        for section, judge in _CONTROLS:
            settings = service.control.get(section)
            if settings:
                what = f"{section} of {service.name}"
                yield Probe(
                    area=_CONTROL, what=what, look=partial(judge, what, service, settings, look)
                )


# ------------------------------------------------------------------ databases
def _databases(look: Look) -> Iterator[Probe]:
    config = look.installation.config
    ledger = database_address(look.installation.directory)
    if ledger.path is None:
        job = partial(_database, "ledger", ledger.dsn, look, reader=False)
        yield Probe(area=_DATABASES, what="ledger", look=job)
    checks = config.checks
    reading = [
        ("checks.database", checks.database.dsn if checks.database else None),
        ("deployments", config.deployments.dsn if config.deployments else None),
        ("checks.replication.primary", _dsn(checks.replication, "primary")),
        ("checks.replication.standby", _dsn(checks.replication, "standby")),
    ]
    for what, dsn in reading:
        if dsn is not None:
            yield Probe(
                area=_DATABASES, what=what, look=partial(_database, what, dsn, look, reader=True)
            )
    for service in look.installation.catalogue.services.values():
        for side in ("primary", "standby"):
            dsn = service.control.get("failover", {}).get(side, {}).get("dsn")
            if dsn is not None:
                what = f"{side} of {service.name}"
                job = partial(_database, what, dsn, look, reader=False)
                yield Probe(area=_DATABASES, what=what, look=job)


def _dsn(replication: Any, side: str) -> str | None:  # noqa: ANN401 - its model, or None
    return getattr(replication, side).dsn if replication is not None else None


def _database(what: str, dsn: str, look: Look, *, reader: bool) -> Iterator[Finding]:
    before = look.clock.now()
    facts = _asked(dsn, look.timeout_s)
    after = look.clock.now()
    role = RoleFacts(
        role=facts["role"],
        superuser=facts["superuser"],
        writable=facts["writable"],
        example=facts["example"],
        may_create=facts["may_create"],
        sees_activity=facts["sees_activity"],
    )
    yield fine(what, "answers, a standby" if facts["standby"] else "answers")
    if reader:
        yield from judge_role(what, role)
    took_s = (after - before).total_seconds()
    yield judge_clock(what, facts["at"] - after.timestamp(), took_s)


def _asked(dsn: str, timeout_s: float) -> dict[str, Any]:
    try:
        import psycopg
    except ImportError:
        raise _OutOfReachError(
            "psycopg is not installed; run pip install 'holdfast[postgres]'"
        ) from None
    try:
        with read_only_session(
            dsn,
            statement_timeout_s=timeout_s,
            connect_timeout_s=max(2, int(timeout_s)),
            server_default=True,
        ) as session:
            return cast("dict[str, Any]", session.execute(_ROLE).fetchone())
    except psycopg.Error as error:
        words = str(error).strip().splitlines()
        raise _OutOfReachError(
            f"can't be asked ({words[0] if words else type(error).__name__}); check that it runs, "
            "its address, and the role's rights"
        ) from None


# ------------------------------------------------------------------ caches and queues
def _caches(look: Look) -> Iterator[Probe]:
    checks = look.installation.config.checks
    places = [
        ("checks.cache", checks.cache.url if checks.cache else None),
        ("checks.queue", checks.queue.url if checks.queue else None),
    ]
    places += [
        (f"{section} of {service.name}", service.control.get(section, {}).get("url"))
        for service in look.installation.catalogue.services.values()
        for section in ("cache", "queue")
    ]
    for what, url in places:
        if url is not None and not url.startswith(SCHEMES):
            yield Probe(area=_CACHES, what=what, look=partial(_valkey, what, url, look))
    for what, url, queues, ca_file in _brokers(look):
        if url.startswith(SCHEMES):
            job = partial(_rabbitmq, what, url, queues, ca_file, look)
            yield Probe(area=_CACHES, what=what, look=job)


def _brokers(look: Look) -> Iterator[tuple[str, str, list[str], str | None]]:
    """List every place where queues are, the queues that have to be there, and whom to trust."""
    checked = look.installation.config.checks.queue
    if checked is not None:
        names = [each for each in checked.lists if "{" not in each]
        yield "checks.queue", checked.url, names, checked.ca_file
    for service in look.installation.catalogue.services.values():
        if control := service.control.get("queue"):
            names = list(control["lists"])
            parking = str(control.get("parking", ""))
            names += [parking.replace("{queue}", name) for name in names]
            names = list(dict.fromkeys(names))
            yield f"queue of {service.name}", control["url"], names, control.get("ca_file")


def _rabbitmq(
    what: str, url: str, queues: list[str], ca_file: str | None, look: Look
) -> Iterator[Finding]:
    found = queue_depths(url, queues, look.timeout_s, check="doctor", field=what, ca_file=ca_file)
    for name, depth in found.items():
        if error := depth.get("error"):
            yield failed(what, f"{name}: {error}; make the queue, or correct its name")
    yield fine(what, "answers")


def _valkey(what: str, url: str, look: Look) -> Iterator[Finding]:
    with valkey_client(url, look.timeout_s, check="doctor", field=what) as client:
        import valkey

        try:
            before = look.clock.now()
            seconds, micros = cast("tuple[int, int]", client.time())
            after = look.clock.now()
        except valkey.ValkeyError as error:
            yield failed(what, f"can't be asked ({error}); check that it runs, and its address")
            return
    yield fine(what, "answers")
    skew_s = seconds + micros / 1e6 - after.timestamp()
    yield judge_clock(what, skew_s, (after - before).total_seconds())


# ------------------------------------------------------------------ control
_Settings = Mapping[str, Any]


def _supervisord(what: str, service: Service, settings: _Settings, look: Look) -> Iterator[Finding]:
    path = Path(settings["socket"])
    yield from _socket(what, path)
    table = process_table(str(path), timeout_s=look.timeout_s)
    wanted = [filled(settings["process"], service, region) for region in service.regions]
    missing = [name for name in dict.fromkeys(wanted) if name not in table]
    if missing:
        known = ", ".join(sorted(table)[:5])
        yield failed(what, f"knows no process {missing[0]!r}; it knows {known}; correct `process`")
    else:
        yield fine(what, f"answers and knows {', '.join(dict.fromkeys(wanted))}")


def _scale(what: str, _: Service, settings: _Settings, look: Look) -> Iterator[Finding]:
    path = Path(settings["supervisord"]["socket"])
    yield from _socket(what, path)
    process_table(str(path), timeout_s=look.timeout_s)
    yield fine(what, f"answers; at most {settings['extra']} more")


def _socket(what: str, path: Path) -> Iterator[Finding]:
    judged = judge_place_rights(what, path.stat().st_mode)
    if judged.level is Level.UNSAFE:
        step = "set chmod=0700 and a chown for the socket where it is configured"
        yield found(what, Level.UNSAFE, f"{path}: everybody here can command it", step)


def _release(what: str, _: Service, settings: _Settings, _look: Look) -> Iterator[Finding]:
    folder = Path(settings["directory"])
    if not folder.is_dir():
        yield failed(what, f"{folder} is no folder; correct `directory`")
        return
    yield judge_place_rights(what, folder.stat().st_mode)
    if not (folder / "current").is_symlink():
        yield failed(what, f"{folder} has no link `current`; a rollback moves that link")
    if not os.access(folder, os.W_OK):
        yield failed(what, f"{folder} can't be written by us; a rollback would fail")


def _flags(what: str, _: Service, settings: _Settings, look: Look) -> Iterator[Finding]:
    if settings.get("unleash"):
        yield from _unleash(what, settings, look)
        return
    path = Path(settings["file"])
    if not path.is_file():
        yield failed(what, f"{path} is no file; correct `file`")
        return
    yield judge_place_rights(what, path.stat().st_mode)
    if not os.access(path.parent, os.W_OK):
        yield failed(what, f"{path.parent} can't be written by us; no flag could be disabled")


def _unleash(what: str, settings: _Settings, look: Look) -> Iterator[Finding]:
    place = Unleash.of(settings["unleash"])
    for flag in settings["allowed"]:
        try:
            now = place.state(flag, look.timeout_s)
        except TargetUnreachableError as error:
            yield failed(what, f"{place.place(flag)}: {error.message}; correct it in services.yaml")
        else:
            yield fine(what, f"{place.place(flag)} is {now.words()}")


def _temp(what: str, _: Service, settings: _Settings, _look: Look) -> Iterator[Finding]:
    for each in settings["paths"]:
        path = Path(each)
        if not path.is_dir():
            yield failed(what, f"{path} is no folder; correct `paths`")
        elif not os.access(path, os.W_OK):
            yield failed(what, f"{path} can't be written by us; it could not be cleared")
        else:
            yield fine(what, f"{path} can be cleared")


def _pool(what: str, _: Service, settings: _Settings, look: Look) -> Iterator[Finding]:
    address = settings["haproxy"]["socket"]
    if address.startswith("/"):
        yield from _socket(what, Path(address))
        family, place = socket.AF_UNIX, address
    else:
        host, _colon, port = address.rpartition(":")
        family, place = socket.AF_INET, (host, int(port))
    with socket.socket(family, socket.SOCK_STREAM) as connection:
        connection.settimeout(look.timeout_s)
        connection.connect(place)
    yield fine(what, f"{address} can be connected to")


_Judge = Callable[[str, Service, _Settings, Look], Iterator[Finding]]
_CONTROLS: tuple[tuple[str, _Judge], ...] = (
    ("supervisord", _supervisord),
    ("systemd", judge_units),
    ("kubernetes", judge_cluster),
    ("scale", _scale),
    ("release", _release),
    ("flags", _flags),
    ("temp", _temp),
    ("pool", _pool),
)
