"""What a script can have done to the platform: a fault, a silent metric source, a deed by hand.

Rule: done at the targets and fenced in as the sandbox's own doing, so that no observer takes it
for an effect of Holdfast. Holdfast is told nothing.
"""

from collections.abc import Callable
from datetime import datetime

from holdfast.kernel import HoldfastError
from holdfast.kernel.catalogue import NO_REGION, split_instance
from holdfast.sandbox.faults import Injected
from holdfast.sandbox.platform import Platform
from holdfast.sandbox.relay import Relay
from holdfast.sandbox.script import BREAK
from holdfast.sandbox.site import process_name

SILENT = "silent metrics"


class Doings:
    """The hands of a script. `break_it` puts the scenario's fault in."""

    def __init__(
        self, platform: Platform, relay: Relay | None, break_it: Callable[[], Injected | None]
    ) -> None:
        self._platform = platform
        self._relay = relay
        self._break_it = break_it
        self._injected: Injected | None = None

    @property
    def broken_at(self) -> datetime | None:
        return self._injected.injected_at if self._injected else None

    def broken(self, injected: Injected | None) -> None:
        """Learn of the fault that was put in before the script began."""
        self._injected = injected

    def do(self, verb: str, words: list[str]) -> str | None:
        """Do one thing; give the name of the bad state that it makes, if it makes one."""
        match verb, words:
            case "break", []:
                self.broken(self._break_it())
            case "heal", []:
                if self._injected is None:
                    raise HoldfastError(f"nothing is broken; write `sandbox {BREAK}` before")
                self._platform.heal(self._injected)
            case "silence-metrics", []:
                self._metrics().silence()
                return SILENT
            case "restore-metrics", []:
                self._metrics().speak()
            case "restart-by-hand", [instance]:
                self._restart(instance)
            case _:
                raise HoldfastError(f"the sandbox does not know how to {verb} {' '.join(words)}")
        return None

    def _metrics(self) -> Relay:
        if self._relay is None:
            raise HoldfastError("this platform's metrics pass no relay, so none can fall silent")
        return self._relay

    def _restart(self, instance: str) -> None:
        """Restart one process as somebody at a terminal would: through the orchestrator."""
        service, region = split_instance(instance)
        name = process_name(service, region or NO_REGION)
        with self._platform.observers.own():
            self._platform.supervisor.stop(name)
            if not self._platform.supervisor.start(name):
                raise HoldfastError(f"{name} did not come up; see {self._platform.site.logs}")
