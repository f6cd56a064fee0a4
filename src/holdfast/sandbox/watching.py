"""The demo's two pairs of eyes beside the player: one on the instances, one on the incident.

Rule: they only look, each in a thread of its own, so that a page that hangs or a
command that takes a second never delays the run.
"""

import contextlib
import queue
import threading
from collections.abc import Callable, Iterator

from holdfast.kernel import HoldfastError
from holdfast.kernel.clock import SystemClock
from holdfast.sandbox.exposed import Instances
from holdfast.sandbox.holdfast_process import Holdfast
from holdfast.sandbox.scene import Scene

SAMPLE_EVERY_S = 1.0
LOOK_TIMEOUT_S = 10.0


@contextlib.contextmanager
def sampling(instances: Instances, scene: Scene) -> Iterator[None]:
    """Read every instance once a second into the scene."""
    over, clock = threading.Event(), SystemClock()

    def run() -> None:
        while not over.is_set():
            began = clock.monotonic()
            scene.saw(instances.read(began))
            over.wait(max(0.0, began + SAMPLE_EVERY_S - clock.monotonic()))

    with _thread(run, "instances"):
        try:
            yield
        finally:
            over.set()


@contextlib.contextmanager
def looking(holdfast: Holdfast, scene: Scene) -> Iterator[Callable[[str], None]]:
    """Give a function that asks for an incident's details; they come into the scene later."""
    asked: queue.SimpleQueue[str | None] = queue.SimpleQueue()

    def run() -> None:
        while (name := _latest(asked)) is not None:
            # A failed look is told by the next one, or by the account at the end.
            with contextlib.suppress(HoldfastError):
                arguments = ("incident", "show", name, "--json")
                scene.look(holdfast.ask(*arguments, timeout_s=LOOK_TIMEOUT_S))

    with _thread(run, "incident"):
        try:
            yield asked.put
        finally:
            asked.put(None)


def _latest(asked: "queue.SimpleQueue[str | None]") -> str | None:
    """Wait for a question; of several that piled up, only the last is worth an answer."""
    name = asked.get()
    while name is not None and not asked.empty():
        name = asked.get()
    return name


@contextlib.contextmanager
def _thread(run: Callable[[], None], name: str) -> Iterator[None]:
    thread = threading.Thread(target=run, name=f"watching-{name}", daemon=True)
    thread.start()
    try:
        yield
    finally:
        thread.join()
