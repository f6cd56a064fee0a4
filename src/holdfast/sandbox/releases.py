"""Releases as directories with an atomic `current` link, and the table that says who deployed what.

Rule: a release is real code. The bad one fails because its code has a bug that
a third of the baskets meet, so what Holdfast must find is a change and its effect,
not a switch we turned.
"""

import fcntl
import os
from datetime import datetime, timedelta
from pathlib import Path

import psycopg

from holdfast.sandbox.site import Site

HISTORY_HOURS = ((-2, 211), (-1, 74), (0, 26))  # (version offset, hours ago): nothing looks recent
_DEPLOYERS = ("pipeline/nightly", "m.santos", "a.whitfield")

_API = '''\
"""Release {version} of {service}."""


def total(price, basket):
    """Price a basket in cents, its coupon taken off."""
    amount = price * basket["quantity"]
    coupon = basket.get("coupon")
    if coupon:
        amount -= amount * coupon["percent"] // 100
    return amount
'''
_API_BAD = '''\
"""Release {version} of {service}: coupons in one line."""


def total(price, basket):
    """Price a basket in cents, its coupon taken off."""
    return price * basket["quantity"] * (100 - basket["coupon"]["percent"]) // 100
'''
_WORKER = '''\
"""Release {version} of {service}."""


def settle(job):
    """Say in which state the job's order ends."""
    return "settled" if job["order"] > 0 else "void"
'''


def version_name(number: int) -> str:
    return f"v{number}"


def seed_releases(site: Site, now: datetime) -> None:
    """Write the good releases, point the links at the newest, and fill the history."""
    shape = site.blueprint
    for service in shape.regional:
        for offset, _hours in HISTORY_HOURS:
            write_release(site, service, version_name(shape.good_version + offset))
        switch(site, service, version_name(shape.good_version))
    with psycopg.connect(site.primary_dsn()) as connection:
        for service in shape.regional:
            for (offset, hours), who in zip(HISTORY_HOURS, _DEPLOYERS, strict=True):
                number = shape.good_version + offset
                version, previous = version_name(number), version_name(number - 1)
                at = now - timedelta(hours=hours + (5 if service == shape.worker else 0))
                _record(connection, service, version, previous, at, who, f"release {version}")


def write_release(site: Site, service: str, version: str, *, bad: bool = False) -> Path:
    """Write a release's directory. `bad` is known for the API only."""
    directory = site.releases / service / version
    directory.mkdir(parents=True)
    code = _WORKER if service == site.blueprint.worker else _API_BAD if bad else _API
    text = code.format(version=version, service=service)
    (directory / "release.py").write_text(text, encoding="utf-8")
    return directory


def switch(site: Site, service: str, version: str) -> None:
    """Point `current` at `version` in one atomic step, under the lock that deployers share."""
    directory = site.releases / service
    fresh = directory / f".current-{version}-{os.getpid()}"
    with (directory / ".lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        fresh.symlink_to(version)
        fresh.rename(directory / "current")


def current_version(site: Site, service: str) -> str:
    return str((site.releases / service / "current").readlink())


def deploy_bad(site: Site, now: datetime) -> str:
    """Deploy the API's next release, the one with the bug; return its version."""
    return deploy(site, now, summary="coupons in one line", bad=True)


def deploy(site: Site, now: datetime, *, summary: str, bad: bool = False) -> str:
    """Deploy the API's next release and record it; return its version."""
    service = site.blueprint.api
    before = current_version(site, service)
    version = version_name(1 + max(_number(path.name) for path in _written(site, service)))
    write_release(site, service, version, bad=bad)
    with psycopg.connect(site.primary_dsn()) as connection:
        _record(connection, service, version, before, now, "j.lindqvist", summary)
    switch(site, service, version)
    return version


def _written(site: Site, service: str) -> list[Path]:
    return list((site.releases / service).glob("v*"))


def _number(version: str) -> int:
    return int(version.removeprefix("v"))


def _record(
    connection: psycopg.Connection[tuple[object, ...]],
    service: str,
    version: str,
    previous: str,
    at: datetime,
    who: str,
    summary: str,
) -> None:
    connection.execute(
        "INSERT INTO deployments"
        " (service, version, previous_version, deployed_at, deployed_by, summary)"
        " VALUES (%s, %s, %s, %s, %s, %s)",
        (service, version, previous, at, who, summary),
    )
