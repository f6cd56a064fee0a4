"""One warm process of the ledger's benchmark: rows or steps, on the store that its URL names.

Orders come as JSON lines: `prepare` makes what a slice needs and is not timed, `go` does the slice.
It answers each with one line. Nothing else is printed.
"""

import json
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, Protocol

import apsw
import psycopg

from bench.ledger_parts.incidents import STEPS, Stepper, journal_of
from bench.ledger_parts.stores import at_url
from holdfast.engine.case import Case

ROW = ("INC-1", 1, "step_intended", b"x" * 380, b"h" * 32)
TABLE = (
    "create table l (n {number}, incident text, step int, kind text, body {bytes}, hash {bytes})"
)


class Work(Protocol):
    """What a child can be told to do."""

    def prepare(self, slice_s: float) -> None: ...

    def go(self, slice_s: float) -> int:
        """Work for so long; give the number of units done."""
        ...


class Rows:
    """One row in a commit of its own, into a plain table."""

    def __init__(self, url: str) -> None:
        self._insert = _sqlite_insert(url) if url.startswith("sqlite") else _postgres_insert(url)

    def prepare(self, slice_s: float) -> None: ...

    def go(self, slice_s: float) -> int:
        count, end = 0, time.perf_counter() + slice_s
        while time.perf_counter() < end:
            self._insert()
            count += 1
        return count


def _sqlite_insert(url: str) -> Callable[[], object]:
    db = apsw.Connection(url.removeprefix("sqlite:///"))
    db.execute("pragma journal_mode = wal")
    db.execute("pragma synchronous = full")
    db.execute(TABLE.format(number="integer primary key", bytes="blob"))
    return lambda: db.execute(
        "insert into l (incident, step, kind, body, hash) values (?, ?, ?, ?, ?)", ROW
    )


def _postgres_insert(url: str) -> Callable[[], object]:
    db = psycopg.connect(url, autocommit=True)
    number = "bigint generated always as identity primary key"
    db.execute(TABLE.format(number=number, bytes="bytea").encode())
    cursor = db.cursor()
    return lambda: cursor.execute(
        "insert into l (incident, step, kind, body, hash) values (%s, %s, %s, %s, %s)",
        ROW,
        prepare=True,
    )


class Steps:
    """Steps of many incidents, so many incidents at once, each in a thread of its own."""

    def __init__(self, url: str, *, whole: bool) -> None:
        ledger = at_url(url)
        self._stepper = Stepper(
            ledger=ledger,
            journal=journal_of(ledger),
            whole=whole,
            system_seq=ledger.system_seq(),
        )
        self._at_once = 1
        self._stock: list[Case] = []
        self._rate = 500.0

    def at_once(self, number: int) -> None:
        self._at_once = number

    def prepare(self, slice_s: float) -> None:
        """Open more incidents than the slice should need."""
        wanted = max(self._at_once, int(self._rate * slice_s * 1.5 / STEPS) + 1)
        missing = iter(range(wanted - len(self._stock)))
        lock = threading.Lock()

        def stock() -> None:
            while _next(missing, lock) is not None:
                case = self._stepper.open()
                with lock:
                    self._stock.append(case)

        _all_at_once([stock] * 16)

    def go(self, slice_s: float) -> int:
        cases, lock = iter(self._stock), threading.Lock()
        counts = [0] * self._at_once
        start = time.perf_counter()

        def work(worker: int) -> None:
            while (case := _next(cases, lock)) is not None:
                for index in range(STEPS):
                    self._stepper.take(case, index)
                    counts[worker] += 1
                    if time.perf_counter() - start >= slice_s:
                        return

        _all_at_once([lambda n=n: work(n) for n in range(self._at_once)])  # type: ignore[misc]
        # Whatever was begun is not begun again.
        self._stock = list(cases)
        self._rate = sum(counts) / (time.perf_counter() - start)
        return sum(counts)


def _next(items: Iterator[Any], lock: threading.Lock) -> Any:  # noqa: ANN401 - whatever it holds
    with lock:
        return next(items, None)


def _all_at_once(works: list[Callable[[], None]]) -> None:
    if len(works) == 1:
        works[0]()
        return
    threads = [threading.Thread(target=work) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def obey(work: Work) -> None:
    """Carry out orders until there are no more."""
    print(json.dumps({"ready": True}), flush=True)
    for line in sys.stdin:
        order = json.loads(line)
        if isinstance(work, Steps):
            work.at_once(order.get("at_once", 1))
        if order["do"] == "prepare":
            work.prepare(order["slice_s"])
            answer: dict[str, float] = {}
        else:
            cpu, start = time.process_time(), time.perf_counter()
            units = work.go(order["slice_s"])
            answer = {
                "units": units,
                "took_s": time.perf_counter() - start,
                "cpu_s": time.process_time() - cpu,
            }
        print(json.dumps(answer), flush=True)


def main() -> None:
    url, what = sys.argv[1:3]
    obey(Rows(url) if what == "rows" else Steps(url, whole=what == "whole"))


if __name__ == "__main__":
    main()
