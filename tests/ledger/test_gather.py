"""Whoever comes first writes for all who wait; each is told what became of its own."""

import threading
import time
from collections.abc import Sequence
from functools import partial

import pytest

from holdfast.kernel import LedgerUnavailableError
from holdfast.ledger.gather import Gatherer


class Slow:
    """Writes a group when it is let; remembers the groups."""

    def __init__(self) -> None:
        self.groups: list[list[int]] = []
        self.writing = threading.Event()
        self.go = threading.Event()

    def write(self, group: Sequence[int]) -> list[int]:
        self.groups.append(list(group))
        self.writing.set()
        assert self.go.wait(10)
        if 13 in group:
            raise LedgerUnavailableError("13 can't be written")
        return [number * 10 for number in group]


def handed_in(
    gatherer: Gatherer[int, int], slow: Slow, works: Sequence[Sequence[int]]
) -> list[str]:
    """Let the first work be written while the others arrive, then all; give what each was told."""
    told: dict[int, str] = {}

    def run(place: int, work: Sequence[int]) -> None:
        try:
            told[place] = repr(list(gatherer.run(work)))
        except LedgerUnavailableError as error:
            told[place] = str(error)

    threads = [threading.Thread(target=partial(run, *one)) for one in enumerate(works)]
    threads[0].start()
    assert slow.writing.wait(10)
    for arrived, thread in enumerate(threads[1:], start=1):
        thread.start()
        deadline = time.monotonic() + 10
        while len(gatherer._waiting) < arrived:
            assert time.monotonic() < deadline
    slow.go.set()
    for thread in threads:
        thread.join(10)
    return [told[place] for place in range(len(works))]


def test_what_waits_together_is_written_together_and_each_has_its_own_results() -> None:
    slow = Slow()
    told = handed_in(Gatherer(slow.write, most=10), slow, [[1], [2, 3], [4]])

    assert told == ["[10]", "[20, 30]", "[40]"]
    assert slow.groups == [[1], [2, 3, 4]]


def test_a_group_is_no_bigger_than_it_may_be_but_a_big_piece_stays_whole() -> None:
    slow = Slow()
    told = handed_in(Gatherer(slow.write, most=2), slow, [[1], [2], [3, 4, 5], [6]])

    assert told == ["[10]", "[20]", "[30, 40, 50]", "[60]"]
    assert slow.groups == [[1], [2], [3, 4, 5], [6]]


def test_what_the_writer_raises_is_told_to_its_group_and_the_next_group_is_written() -> None:
    slow = Slow()
    told = handed_in(Gatherer(slow.write, most=2), slow, [[1], [2], [13], [4]])

    assert told == ["[10]", "13 can't be written", "13 can't be written", "[40]"]


def test_a_closed_gatherer_finishes_what_it_has_and_takes_nothing_more() -> None:
    slow = Slow()
    gatherer = Gatherer(slow.write, most=2)
    writing = threading.Thread(target=gatherer.run, args=([1],))
    writing.start()
    assert slow.writing.wait(10)
    closing = threading.Thread(target=gatherer.close)
    closing.start()
    slow.go.set()
    closing.join(10)
    writing.join(10)

    assert not closing.is_alive()
    with pytest.raises(LedgerUnavailableError, match="closed before"):
        gatherer.run([2])
