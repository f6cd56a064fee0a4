"""A ledger that counts what is asked of it, and can be away for a while."""

import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, cast

from holdfast.kernel import LedgerUnavailableError
from holdfast.response.store import Ledger

# What needs no store: these answer while it is away.
_LOCAL = frozenset({"listen", "broken", "close"})


@dataclass(slots=True)
class Counted:
    """Hands everything on to the real ledger. `away` makes every call fail, as a stopped one does."""

    ledger: Ledger
    calls: Counter[str] = field(default_factory=Counter)
    away: threading.Event = field(default_factory=threading.Event)

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the ledger has
        value = getattr(self.ledger, name)
        if name in _LOCAL or not callable(value):
            return value
        return self._counted(name, value)

    def _counted(self, name: str, method: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **more: Any) -> Any:  # noqa: ANN401 - whatever the method takes
            self.calls[name] += 1
            if self.away.is_set():
                raise LedgerUnavailableError("the store is away; start it again")
            return method(*args, **more)

        return call

    @property
    def promised(self) -> Ledger:
        """The same, as what it stands for."""
        return cast("Ledger", self)
