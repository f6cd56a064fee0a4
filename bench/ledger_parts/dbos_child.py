"""The same trivial step under DBOS, in an environment of its own: one warm process, as child.py.

DBOS keeps one checkpoint per step (one commit); Holdfast an intent and an outcome (two). A workflow
of 25 steps is what one call runs, so that starting a workflow weighs little. Its settings here are
the best that stay honest: no admin server, no logging, a pool for all threads, WAL on SQLite.
"""

import asyncio
import importlib
import json
import sqlite3
import sys
import time
from collections.abc import Callable
from typing import Any

STEPS = 25


def launched(url: str) -> Any:  # noqa: ANN401 - not installed where types are checked
    """Start DBOS on this store."""
    module = importlib.import_module("dbos")
    module.DBOS(
        config={
            "name": "bench",
            "system_database_url": url,
            "log_level": "ERROR",
            "run_admin_server": False,
            "sys_db_pool_size": 20,
        }
    )
    return module.DBOS


def counted(dbos: Any) -> tuple[Callable[..., int], Callable[..., Any]]:  # noqa: ANN401
    """Make the workflow, once for threads and once for asyncio."""

    def count(number: int) -> int:
        return number + 1

    async def count_async(number: int) -> int:
        return number + 1

    step = dbos.step()(count)
    step_async = dbos.step()(count_async)

    def workflow(steps: int) -> int:
        number = 0
        for _ in range(steps):
            number = step(number)
        return number

    async def workflow_async(steps: int) -> int:
        number = 0
        for _ in range(steps):
            number = await step_async(number)
        return number

    return dbos.workflow()(workflow), dbos.workflow()(workflow_async)


class Workflows:
    """Runs workflows for a slice: in sequence, many as threads, or many in one event loop."""

    def __init__(self, url: str) -> None:
        self._dbos = launched(url)
        self._workflow, self._workflow_async = counted(self._dbos)
        self._dbos.launch()

    def go(self, slice_s: float, at_once: int, *, in_loop: bool) -> int:
        end, steps = time.perf_counter() + slice_s, 0
        while time.perf_counter() < end:
            if at_once == 1:
                steps += self._workflow(STEPS)
            elif in_loop:
                steps += asyncio.run(self._gathered(at_once))
            else:
                handles = [self._dbos.start_workflow(self._workflow, STEPS) for _ in range(at_once)]
                steps += sum(handle.get_result() for handle in handles)
        return steps

    async def _gathered(self, at_once: int) -> int:
        handles = [
            await self._dbos.start_workflow_async(self._workflow_async, STEPS)
            for _ in range(at_once)
        ]
        return sum([await handle.get_result() for handle in handles])


def main() -> None:
    url = sys.argv[1]
    if url.startswith("sqlite"):
        # It opens its file in the rollback journal mode; WAL stays once the file is in it.
        with sqlite3.connect(url.removeprefix("sqlite:///")) as db:
            db.execute("pragma journal_mode = wal")
        db.close()
    workflows = Workflows(url)
    print(json.dumps({"ready": True}), flush=True)
    for line in sys.stdin:
        order = json.loads(line)
        answer: dict[str, float] = {}
        if order["do"] == "go":
            cpu, start = time.process_time(), time.perf_counter()
            in_loop = order.get("in_loop", False)
            units = workflows.go(order["slice_s"], order.get("at_once", 1), in_loop=in_loop)
            answer = {
                "units": units,
                "took_s": time.perf_counter() - start,
                "cpu_s": time.process_time() - cpu,
            }
        print(json.dumps(answer), flush=True)
    workflows._dbos.destroy()  # noqa: SLF001 - a program of one file


if __name__ == "__main__":
    main()
