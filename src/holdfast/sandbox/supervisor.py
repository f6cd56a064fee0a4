"""supervisord as the platform's orchestrator: its configuration and its XML-RPC.

Rule: it restarts nothing by itself (`autorestart=false`, no start retries), so that
every start in its event log was asked for by somebody.
"""

import sys
import time
import urllib.request
from pathlib import Path
from typing import Any, Final
from xmlrpc.client import Fault, ServerProxy

from supervisor.xmlrpc import SupervisorTransport

from holdfast.kernel import HoldfastError
from holdfast.sandbox.link import KeeperLink
from holdfast.sandbox.site import GLOBAL, STORES, Site, extra_name, process_name

READY_TIMEOUT_S = 20.0
EVENT_LOG: Final = "processes.jsonl"
# The program of each supervised service, in the order in which the blueprint lists them.
_MODULES: Final = ("api", "worker", "pooler", "printer")
_HEAD = """\
[unix_http_server]
file={socket}
chmod=0700

[supervisord]
nodaemon=true
logfile={logs}/supervisord.log
logfile_maxbytes=0
pidfile={pid_file}
loglevel=info

[rpcinterface:supervisor]
supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface

[eventlistener:event-log]
command={python} -m holdfast.sandbox.services.eventlog {site} {observed}/{event_log}
events=PROCESS_STATE,REMOTE_COMMUNICATION
buffer_size=1000
autorestart=true
stdout_logfile=NONE
stderr_logfile={logs}/event-log.stderr
stderr_logfile_maxbytes=0
"""
_PROGRAM = """
[program:{name}]
command={python} -m holdfast.sandbox.services.start {module} {site} {service} {region}{extra}
autostart={autostart}
autorestart=false
startretries=0
startsecs=1
stopwaitsecs=4
redirect_stderr=true
stdout_logfile={logs}/{name}.stderr
stdout_logfile_maxbytes=0
"""


class Supervisor:
    """supervisord's XML-RPC, as far as the sandbox needs it."""

    def __init__(self, socket: Path) -> None:
        transport = SupervisorTransport(None, None, f"unix://{socket}")
        self._transport = transport
        self._rpc: Any = ServerProxy("http://127.0.0.1", transport=transport)

    def close(self) -> None:
        self._transport.close()

    def states(self) -> dict[str, dict[str, Any]]:
        """Every process by name, as supervisord describes it (statename, pid, exitstatus)."""
        return {info["name"]: info for info in self._rpc.supervisor.getAllProcessInfo()}

    def state(self, name: str) -> dict[str, Any]:
        info: dict[str, Any] = self._rpc.supervisor.getProcessInfo(name)
        return info

    def start(self, name: str) -> bool:
        """Start a process and wait for it to be running; False when it did not come up."""
        try:
            return bool(self._rpc.supervisor.startProcess(name, True))
        except Fault:
            return False

    def stop(self, name: str) -> None:
        self._rpc.supervisor.stopProcess(name, True)

    def announce(self, kind: str, data: str) -> None:
        """Send an event of our own through the event log: what it follows has been written."""
        self._rpc.supervisor.sendRemoteCommEvent(kind, data)


def start_supervisor(site: Site, link: KeeperLink) -> int:
    """Write the configuration, start supervisord, and return its pid."""
    configuration = site.run / "supervisord.conf"
    configuration.write_text(_configuration(site), encoding="utf-8")
    argv = [sys.executable, "-m", "supervisor.supervisord", "-c", str(configuration)]
    return link.start(argv, log=site.logs / "supervisord.stderr")


def wait_for_processes(site: Site) -> Supervisor:
    """Return when every process runs and answers; say which one does not, and what it said."""
    pages = [site.url(service, region, "/healthz") for service, region in site.processes()]
    pages += [site.store_url(store) for store in (site.blueprint.database, site.blueprint.cache)]
    spare = {name for name, _, _ in extras(site)}
    deadline = time.monotonic() + READY_TIMEOUT_S
    supervisor = Supervisor(site.supervisor_socket)
    while True:
        states = _states_so_far(supervisor)
        waiting = {n for n, state in states.items() if state != "RUNNING" and n not in spare}
        dead = {name for name in waiting if states[name] not in {"STARTING", "STOPPED"}}
        if states and not waiting and all(map(_answers, pages)):
            return supervisor
        if dead or time.monotonic() > deadline:
            raise _not_up(site, dead or waiting or {"supervisord"})
        time.sleep(0.05)


def _states_so_far(supervisor: Supervisor) -> dict[str, str]:
    try:
        return {name: info["statename"] for name, info in supervisor.states().items()}
    except OSError:
        supervisor.close()  # not listening yet; the transport keeps a broken connection otherwise
        return {}


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2.0):  # noqa: S310 - a loopback address of ours
            return True
    except OSError:
        return False


def _not_up(site: Site, names: set[str]) -> HoldfastError:
    name = min(names)
    log = site.logs / f"{name}.stderr"
    said = log.read_text(encoding="utf-8", errors="replace")[-600:] if log.exists() else ""
    return HoldfastError(
        f"of the sandbox's processes {', '.join(sorted(names))} did not come up; "
        f"{name} said: {said.strip() or 'nothing'}; see {log}"
    )


def _configuration(site: Site) -> str:
    """Write supervisord's file. It expands %(name)s, so a percent sign in a value is doubled."""
    places = {
        "socket": site.supervisor_socket,
        "logs": site.logs,
        "pid_file": site.supervisor_pid_file,
        "observed": site.observed,
        "site": site.file,
        "python": sys.executable,
        "event_log": EVENT_LOG,
    }
    escaped = {name: str(value).replace("%", "%%") for name, value in places.items()}
    modules = dict(zip(site.blueprint.supervised, _MODULES, strict=True))
    programs = [(process_name(s, r), modules[s], s, r, False) for s, r in site.processes()]
    programs.append((STORES, "exporter", STORES, GLOBAL, False))
    programs += [(name, modules[s], s, r, True) for name, s, r in extras(site)]
    parts = [_HEAD.format(**escaped)]
    for name, module, service, region, extra in programs:
        parts.append(
            _PROGRAM.format(
                name=name,
                module=module,
                service=service,
                region=region,
                extra=f" {name}" if extra else "",
                autostart="false" if extra else "true",
                **escaped,
            )
        )
    return "".join(parts)


def extras(site: Site) -> tuple[tuple[str, str, str], ...]:
    """List (name, service, region) of the further workers, which run only when somebody asks."""
    shape, worker = site.blueprint, site.blueprint.worker
    numbers = range(1, shape.extra_workers + 1)
    return tuple((extra_name(worker, r, n), worker, r) for r in shape.regions for n in numbers)
