"""So many server connections and no more; whoever comes beyond waits in line.

Rule: first come, first served, and nobody waits longer than `WAIT_S`. A connection
serves one transaction and goes to the next in line; one that was lost, or left in the middle of a
transaction, is closed and never given to anybody else.
"""

import asyncio
from collections import deque
from collections.abc import Mapping

from holdfast.sandbox.services.upstream import Line, NoPrimaryError, ServerRefusedError, Upstream

WAIT_S = 1.5
RETRY_S = 0.05


class ServerPool:
    """The connections to the primary of now, `size` at most."""

    def __init__(self, upstream: Upstream, size: int) -> None:
        self.upstream = upstream
        self.size = size
        self.in_use = 0
        self.waiting = 0
        self._idle: list[tuple[Mapping[str, str], Line]] = []
        self._lines: set[Line] = set()
        self._turns: deque[asyncio.Future[None]] = deque()
        self._usual: Mapping[str, str] | None = None
        self._filling: asyncio.Task[None] | None = None
        upstream.on_change = self._leave_the_past

    def take_now(self, parameters: Mapping[str, str]) -> Line | None:
        """Take a connection that is open and free, when nobody waits for one."""
        if self._turns or self.in_use >= self.size:
            return None
        line = self._pop_idle(parameters)
        if line is not None:
            self.in_use += 1
        return line

    async def take(self, parameters: Mapping[str, str]) -> Line:
        """Take a connection, waiting in line for it.

        Raises TimeoutError when the wait was too long, ServerRefusedError when the primary does
        not let this client in.
        """
        self.waiting += 1
        try:
            async with asyncio.timeout(WAIT_S):
                return await self._take(parameters)
        finally:
            self.waiting -= 1

    async def _take(self, parameters: Mapping[str, str]) -> Line:
        while True:
            await self.upstream.found.wait()
            await self._turn()
            try:
                return self._pop_idle(parameters) or await self._open(parameters)
            except (OSError, NoPrimaryError):
                self._pass_on()  # the primary has just gone; there may be another
                await asyncio.sleep(RETRY_S)
            except BaseException:
                self._pass_on()
                raise

    def give_back(self, line: Line) -> None:
        """Return a connection whose transaction has ended."""
        line.listener = None
        if line.usable and line.server == self.upstream.primary:
            self._idle.append((line.startup, line))
        else:
            line.close()
        self._pass_on()

    def drop(self, line: Line) -> None:
        """Close a connection in the middle of its transaction, which is rolled back."""
        line.listener = None
        line.close()
        self._pass_on()

    def fill(self, parameters: Mapping[str, str]) -> None:
        """Open what is missing beforehand, so that nobody's transaction waits for that."""
        self._usual = parameters
        if self._filling is None or self._filling.done():
            self._filling = asyncio.create_task(self._fill(parameters))

    def close(self) -> None:
        if self._filling is not None:
            self._filling.cancel()
        for line in tuple(self._lines):
            line.close()

    async def _fill(self, parameters: Mapping[str, str]) -> None:
        while len(self._lines) < self.size and self.in_use < self.size and not self._turns:
            self.in_use += 1
            try:
                self.give_back(await self._open(parameters))
            except (OSError, NoPrimaryError, ServerRefusedError):
                self._pass_on()
                return

    async def _open(self, parameters: Mapping[str, str]) -> Line:
        if self._idle and len(self._lines) >= self.size:
            self._idle.pop(0)[1].close()  # it was opened for others
        line = await self.upstream.open(parameters)
        line.on_lost = self._lost
        self._lines.add(line)
        return line

    def _pop_idle(self, parameters: Mapping[str, str]) -> Line | None:
        for number, (opened_for, line) in enumerate(self._idle):
            if opened_for == parameters and line.usable:
                del self._idle[number]
                return line
        return None

    def _lost(self, line: Line) -> None:
        self._lines.discard(line)
        self._idle = [entry for entry in self._idle if entry[1] is not line]
        if line.server == self.upstream.primary:
            self.upstream.look_now()

    def _leave_the_past(self) -> None:
        """Close what leads to a server that is the primary no more, also in a transaction."""
        for line in tuple(self._lines):
            if line.server != self.upstream.primary:
                line.close()
        if self.upstream.primary is not None and self._usual is not None:
            self.fill(self._usual)

    async def _turn(self) -> None:
        """Wait in line for the right to one connection."""
        if self.in_use < self.size and not self._turns:
            self.in_use += 1
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._turns.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._pass_on()  # it came in the very moment in which the client gave up
            elif turn in self._turns:
                self._turns.remove(turn)
            raise

    def _pass_on(self) -> None:
        while self._turns:
            turn = self._turns.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        self.in_use -= 1
