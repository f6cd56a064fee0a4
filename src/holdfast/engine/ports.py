"""What the engine is given by `app`: Protocols only, so that it knows no driver."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from holdfast.incident import Record, State
from holdfast.incident.system import SystemState
from holdfast.kernel.catalogue import Contact, SignalKey
from holdfast.response.ports import CheckContext, CheckResult, KeptOutput

Floats = NDArray[np.float64]


class Readings(Protocol):
    """The metric history that decisions read."""

    def recent(self, key: SignalKey, count: int) -> Sequence[tuple[datetime, float]]:
        """Give the last `count` samples of a series, oldest first; NaN is a gap."""
        ...

    def since(self, key: SignalKey, since: datetime) -> Sequence[tuple[datetime, float]]:
        """Give the samples of a series from then on, oldest first."""
        ...

    def column(self, key: SignalKey) -> tuple[Floats, Floats]:
        """Give all timestamps (epoch seconds) and values of a series, oldest first."""
        ...


class Checks(Protocol):
    """Runs read-only checks in parallel; never raises for one of them."""

    @property
    def names(self) -> Sequence[str]: ...

    def run(
        self, context: CheckContext, names: Sequence[str] | None = None
    ) -> Mapping[str, CheckResult]: ...


class Pager(Protocol):
    """Sends a page to one contact; never raises for a channel that fails."""

    def send(
        self,
        state: State,
        to: Contact,
        *,
        level: int,
        why: str,
        packet: Mapping[str, Any],
        markdown: str,
    ) -> Mapping[str, Any]:
        """Return the data of the `paged` record."""
        ...


class Audit(Protocol):
    """The restricted store of whole outputs."""

    def keep(self, *, incident_id: str, step_id: str, output: str) -> KeptOutput:
        """Keep an output durably, as it is; never raises, but says why it could not."""
        ...


class System(Protocol):
    """The `_system` chain, folded."""

    def state(self) -> SystemState: ...

    def refusal(self, kind: str, token_id: str | None, actor_kind: str) -> str | None:
        """Say why this token may not ask for this; None when it may."""
        ...


class Watcher(Protocol):
    """Is told of everything that happens; shows it, counts it, decides nothing."""

    def on_record(self, record: Record) -> None: ...

    def on_trouble(self, text: str) -> None: ...
