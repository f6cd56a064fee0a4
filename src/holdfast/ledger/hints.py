"""Tells whoever listens that there may be something to do.

Only a hint: nothing may depend on it, so whoever listens polls as well.
"""

import threading
from collections.abc import Callable


class Hints:
    """The listeners of one process. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._listeners: dict[int, Callable[[], None]] = {}
        self._next = 0

    def listen(self, hint: Callable[[], None]) -> Callable[[], None]:
        """Call `hint` from now on; return the function that ends this."""
        with self._lock:
            number, self._next = self._next, self._next + 1
            self._listeners[number] = hint

        def stop() -> None:
            with self._lock:
                self._listeners.pop(number, None)

        return stop

    def give(self) -> None:
        """Call every listener, in the caller's thread."""
        with self._lock:
            listeners = tuple(self._listeners.values())
        for hint in listeners:
            hint()
