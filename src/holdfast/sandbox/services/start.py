"""How every supervised process begins: it reads the site, and it may be made to fail.

Rule: this file is the program, so that the gate comes before anything heavy is
imported; it ends the process with 1 while its `down-until` file says so. That is
how a fault keeps a service down for real: supervisord is asked, tries, and reports
the truth.
"""

import os
import sys
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from holdfast.kernel.clock import SystemClock, parse_at
from holdfast.sandbox.processes import die_with_parent
from holdfast.sandbox.services.jsonlog import JsonLog
from holdfast.sandbox.site import Site, load_site, process_name

NEVER = "never"  # the content of a down-until file that no time ends


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """What a process knows about itself."""

    site: Site
    service: str
    region: str
    log: JsonLog
    extra: str | None = None

    @property
    def name(self) -> str:
        return self.extra or process_name(self.service, self.region)


def begin(file: Path, service: str, region: str, extra: str | None = None) -> Started:
    """Read the site and pass the gate, or exit 1. `extra` names a further process of a service."""
    site = load_site(file)
    die_with_supervisor(site)
    name = extra or process_name(service, region)
    log = JsonLog(site.logs / f"{name}.jsonl", service, region)
    reason = refusal(site, name)
    if reason is not None:
        log.error("start refused", reason=reason)
        print(reason, file=sys.stderr)
        raise SystemExit(1)
    log.info("starting")
    return Started(site=site, service=service, region=region, log=log, extra=extra)


def die_with_supervisor(site: Site) -> None:
    """End when supervisord ends, also when it ended before we could ask for that."""
    die_with_parent()
    if os.getppid() != int(site.supervisor_pid_file.read_text(encoding="ascii")):
        raise SystemExit("supervisord has ended")


def down_file(site: Site, name: str) -> Path:
    return site.control / f"down-until-{name}"


def refusal(site: Site, name: str) -> str | None:
    """Say why the process `name` can't start now, or None when it can."""
    try:
        until = down_file(site, name).read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        return None
    if until == NEVER:
        return "its port's lock is held by a process that does not let go"
    if SystemClock().now() < parse_at(until):
        return "its port's lock is still held by the process that died"
    return None


def main() -> None:
    """Run `start MODULE SITE_FILE SERVICE REGION [EXTRA_NAME]`."""
    module, file, service, region, *extra = sys.argv[1:]
    started = begin(Path(file), service, region, *extra)
    import_module(f"holdfast.sandbox.services.{module}").run(started)


if __name__ == "__main__":
    main()
