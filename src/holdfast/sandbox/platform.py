"""The platform as one object: built, started, broken, observed, and gone without a trace.

Rule: everything lives under one directory and one keeper. Leaving the `with`
block in any way, or dying inside it, ends every process and removes the directory
unless it is to be kept.
"""

import contextlib
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self

from holdfast.kernel import BadInputError
from holdfast.kernel.clock import SystemClock
from holdfast.sandbox import (
    database_faults,
    failover_aftercare,
    faults,
    flag_faults,
    queue_faults,
    service_faults,
)
from holdfast.sandbox.balancing import start_balancer, wait_for_balancer
from holdfast.sandbox.blueprint import Blueprint, default_blueprint
from holdfast.sandbox.breakage import Breakage
from holdfast.sandbox.effects import Effect
from holdfast.sandbox.faults import Injected, LockHolder
from holdfast.sandbox.flag_faults import seed_flags
from holdfast.sandbox.link import KeeperLink
from holdfast.sandbox.observers import Observers
from holdfast.sandbox.postgres import prepare_database
from holdfast.sandbox.releases import seed_releases
from holdfast.sandbox.site import (
    STORES,
    ReservedPorts,
    Site,
    build_directories,
    front_name,
    process_name,
)
from holdfast.sandbox.standby import DatabasePair
from holdfast.sandbox.supervisor import Supervisor, start_supervisor, wait_for_processes
from holdfast.sandbox.traffic import Traffic, start_traffic
from holdfast.sandbox.valkey import start_valkey, wait_for_valkey


class Platform:
    """One running platform. Make it with `Platform.start(...)` and use it in a `with` block."""

    def __init__(self, site: Site, link: KeeperLink, ports: ReservedPorts) -> None:
        self.site = site
        self.link = link
        self.traffic = Traffic(site)
        self.databases = DatabasePair(site, link)
        self.timings: dict[str, float] = {}
        self._ports = ports
        self._holders: list[LockHolder] = []
        self._broken: list[Breakage] = []
        self._closing = contextlib.ExitStack()
        self._closing.callback(ports.close)
        self._closing.callback(link.stop)

    @classmethod
    def start(
        cls,
        blueprint: Blueprint | None = None,
        directory: Path | None = None,
        *,
        keep: bool = False,
    ) -> "Platform":
        """Build and start a platform and return when both regions serve.

        `directory` must be absent or empty; without one a temporary directory is made. It is
        removed at the end unless `keep`.
        """
        shape = blueprint or default_blueprint()
        root = _fresh_directory(directory)
        ports = ReservedPorts(_port_names(shape))
        run = build_directories(root)
        site = Site(blueprint=shape, root=root, run=run, ports=ports.ports)
        platform = cls(site, KeeperLink(root), ports)
        try:
            platform.link.remove_at_end(*([] if keep else [root]), *_outside(run, root))
            platform._bring_up()
        except BaseException:
            platform.stop()
            raise
        return platform

    def _bring_up(self) -> None:
        site = self.site
        site.save()
        with self._timed("database and cache"):
            start_valkey(site, self.link)
            self.databases.start()
            prepare_database(site)
            wait_for_valkey(site)
            self.databases.wait_until_streaming()
        with self._timed("releases"):
            seed_releases(site, SystemClock().now())
            seed_flags(site)
        with self._timed("services"):
            start_supervisor(site, self.link)
            start_balancer(site, self.link)
            self.supervisor: Supervisor = wait_for_processes(site)
            self._closing.callback(self.supervisor.close)
            wait_for_balancer(site)
        self.observers = Observers(site)
        self._closing.callback(self.observers.close)
        start_traffic(site, self.link)

    @contextlib.contextmanager
    def _timed(self, part: str) -> Iterator[None]:
        began = time.monotonic()
        yield
        self.timings[part] = time.monotonic() - began

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """End every process of the platform and wait until it has ended."""
        while self._holders:
            self._holders.pop().release()
        while self._broken:
            self._broken.pop().release()
        self._closing.close()

    @property
    def blueprint(self) -> Blueprint:
        return self.site.blueprint

    def adopt(self, pid: int) -> None:
        """Have a process that someone else started (Holdfast) ended with the platform."""
        self.link.adopt(pid)

    def inject(self, fault: str, **options: object) -> Injected:
        """Break the platform. Options: `service`, `region`, `down_for_s` (None: for ever)."""
        injections: Mapping[str, Callable[..., Injected]] = {
            faults.BAD_DEPLOY: self._bad_deploy,
            faults.SERVICE_DOWN: self._service_down,
            faults.NOVEL: self._novel,
            faults.HEALTHY: self._surge,
        }
        if fault in injections:
            return injections[fault](**options)
        breakages = self._breakages()
        if fault not in breakages:
            raise faults.unknown_fault(fault)
        with self.observers.own():
            self._broken.append(breakages[fault](**options))
        return self._broken[-1].injected

    def heal(self, injected: Injected) -> None:
        """Undo a fault, as an operator would."""
        match injected.fault:
            case faults.BAD_DEPLOY:
                with self.observers.own():
                    faults.undo_deploy(self.site, injected)
            case faults.SERVICE_DOWN:
                with self.observers.own():
                    faults.bring_back(self.site, self.supervisor, injected)
            case faults.NOVEL:
                while self._holders:
                    self._holders.pop().release()
            case faults.HEALTHY:
                self.traffic.resume()
            case _:
                broken = next(each for each in self._broken if each.injected == injected)
                self._broken.remove(broken)
                broken.release()
                with self.observers.own():
                    broken.heal()

    def _breakages(self) -> Mapping[str, Callable[..., Breakage]]:
        """Give for each fault that lasts what makes it."""
        site = self.site
        return {
            faults.CONNECTION_LEAK: partial(database_faults.ConnectionLeak, site),
            faults.PRIMARY_DOWN: partial(database_faults.PrimaryDown, site, self.databases),
            faults.DISK_FULL: partial(service_faults.DiskFull, site),
            faults.MEMORY_LEAK: partial(service_faults.MemoryLeak, site),
            faults.QUEUE_BACKLOG: partial(queue_faults.Backlog, site),
            faults.QUEUE_FLOOD: partial(queue_faults.Backlog, site, flood=True),
            faults.STALE_FLAG: partial(flag_faults.StaleFlag, site),
            faults.REGIONAL: partial(service_faults.Regional, site),
            faults.FLAPPING: partial(service_faults.Flapping, site),
            faults.BAD_RUNBOOK: partial(service_faults.BadRunbook, site),
        }

    def aftercare(self, injected: Injected) -> Mapping[str, bool]:
        """Do what people do once the incident of this fault is over; say what held."""
        if injected.fault != faults.PRIMARY_DOWN:
            raise BadInputError(f"{injected.fault} needs no aftercare; only a failover does")
        return failover_aftercare.aftercare(self.site, self.databases)

    def observe(self) -> tuple[Effect, ...]:
        """List what happened at the targets and was not the sandbox's doing."""
        return self.observers.effects()

    def _bad_deploy(self) -> Injected:
        with self.observers.own():
            return faults.bad_deploy(self.site)

    def _service_down(
        self,
        *,
        service: str | None = None,
        region: str | None = None,
        down_for_s: float | None = -1.0,
    ) -> Injected:
        chosen = self.blueprint.down_for_s if down_for_s == -1.0 else down_for_s
        injected = faults.service_down(
            self.site, self.supervisor, down_for_s=chosen, service=service, region=region
        )
        faults.wait_until_gone(self.supervisor, injected.detail["process"])
        return injected

    def _novel(self) -> Injected:
        self._holders.append(LockHolder(self.site))
        return faults.novel(self.site, self._holders[-1])

    def _surge(self, *, factor: float = faults.SURGE, for_s: float = faults.SURGE_S) -> Injected:
        at = SystemClock().now()
        self.traffic.surge(factor, for_s=for_s)
        return Injected(fault=faults.HEALTHY, injected_at=at)


def _port_names(shape: Blueprint) -> tuple[str, ...]:
    regional = tuple(process_name(s, r) for s in shape.regional for r in shape.regions)
    fronts = tuple(front_name(region) for region in shape.regions)
    return (*shape.single, *regional, *fronts, STORES)


def _fresh_directory(directory: Path | None) -> Path:
    if directory is None:
        return Path(tempfile.mkdtemp(prefix="holdfast-sandbox-"))
    if directory.exists() and any(directory.iterdir()):
        raise BadInputError(
            f"the sandbox's directory {directory} is not empty; name one that is new or empty"
        )
    return directory.absolute()


def _outside(run: Path, root: Path) -> list[Path]:
    return [] if run.is_relative_to(root) else [run]


def main() -> None:
    """Hold a platform until Enter or Ctrl-C: `python -m holdfast.sandbox.platform`."""
    with Platform.start() as platform, contextlib.suppress(KeyboardInterrupt, EOFError):
        for service, region in platform.site.processes():
            print(f"{service} in {region}: {platform.site.url(service, region, '/metrics')}")
        print(f"files: {platform.site.root}")
        input("the platform runs; press Enter to end it ")


if __name__ == "__main__":
    main()
