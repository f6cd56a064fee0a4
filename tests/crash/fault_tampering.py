"""Somebody changes the store behind Holdfast's back: a flipped bit, or a row that is gone.

Verification must name the first bad record, and nothing else may be called bad.
"""

import random
import re
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import apsw

from holdfast.kernel import ManualClock
from holdfast.ledger import SqliteLedger
from holdfast.ledger.chain import verify
from holdfast.response.ports import Repeatability
from holdfast.response.store import Ledger, Link
from tests.crash.matrix import Case, Fault, Invariant, Outcome, Violation
from tests.crash.parts import (
    ORIGIN,
    SERVICES,
    QuickClock,
    TargetReadings,
    Watch,
    in_memory,
    interleaved,
    make_carrier,
    opened,
)
from tests.crash.stores import place_of
from tests.crash.target import Target, TargetAction

_TRACES = 8
_FLIP_IN_BODY = """update record
   set body = set_bit(body, %(bit)s, 1 - get_bit(body, %(bit)s))
 where incident_id = %(id)s and seq = %(seq)s"""
_FLIP_IN_HASH = """update record
   set hash = set_bit(hash, %(bit)s, 1 - get_bit(hash, %(bit)s))
 where incident_id = %(id)s and seq = %(seq)s"""
_DELETE = "delete from record where incident_id = %(id)s and seq = %(seq)s"


def write_incidents(ledger: Ledger, clock: ManualClock, rng: random.Random) -> None:
    """Let three incidents run from their first record to their end."""
    target = Target(kind=Repeatability.IDEMPOTENT, clock=clock.monotonic)
    action = TargetAction(target=target, repeatability=target.kind)
    readings = TargetReadings(target=target, clock=clock)
    carrier = make_carrier(ledger, action, readings, Watch(), threads=False)
    incidents = [opened(carrier, service, "w-1") for service in SERVICES[:3]]
    for _ in interleaved(carrier, incidents, clock, rng):
        pass


@lru_cache(maxsize=_TRACES)
def written(number: int) -> bytes:
    """Make an SQLite file with three incidents in it."""
    clock = ManualClock(ORIGIN)
    with in_memory() as folder:
        ledger = SqliteLedger(folder / "ledger.db", clock)
        write_incidents(ledger, clock, random.Random(number))
        ledger.close()
        return (folder / "ledger.db").read_bytes()


def run(case: Case) -> Outcome:
    """Change one record of one chain, and see what verification says of all."""
    rng = random.Random(case.seed)
    return _in_postgres(case, rng) if case.store == "postgres" else _in_a_file(case, rng)


def _in_a_file(case: Case, rng: random.Random) -> Outcome:
    path = case.directory / "ledger.db"
    path.write_bytes(written(case.seed % _TRACES))
    ledger = SqliteLedger(path)
    incident_id, seq, length = _chosen(ledger, rng)
    links, _ = ledger.chain(incident_id)
    every = [link for name in ledger.incident_ids() for link in ledger.chain(name)[0]]
    ledger.close()
    if rng.random() < 0.5:
        _flip_in_file(path, links[seq - 1], every, rng)
    else:
        db = apsw.Connection(str(path))
        db.execute("delete from record where incident_id = ? and seq = ?", (incident_id, seq))
        db.close()
    ledger = SqliteLedger(path)
    try:
        return _judged(ledger, incident_id, seq, length)
    finally:
        ledger.close()


def _chosen(ledger: Ledger, rng: random.Random) -> tuple[str, int, int]:
    incident_id = rng.choice(list(ledger.incident_ids()))
    length = len(ledger.chain(incident_id)[0])
    return incident_id, rng.randint(1, length), length


def _flip_in_file(path: Path, chosen: Link, every: Sequence[Link], rng: random.Random) -> None:
    """Flip one bit of a stored body or hash, wherever it lies in the file."""
    whole = bytearray(path.read_bytes())
    part = chosen.hash if rng.random() < 0.3 else _own_part(chosen, every, whole, rng)
    bit = rng.randrange(len(part) * 8)
    # Where a page was split an older copy may be left in free space: change every one.
    places = [found.start() for found in re.finditer(re.escape(part), whole)]
    for at in places:
        whole[at + bit // 8] ^= 1 << bit % 8
    path.write_bytes(whole)


def _own_part(chosen: Link, every: Sequence[Link], whole: bytearray, rng: random.Random) -> bytes:
    """Choose a part of a body that no other record has, and that lies on one page."""
    others = [link.body for link in every if link.hash != chosen.hash]
    for _ in range(1000):
        start = rng.randrange(len(chosen.body))
        part = chosen.body[start : start + 40]
        if part in whole and not any(part in other for other in others):
            return part
    raise AssertionError("no part of the record is its own")


def _in_postgres(case: Case, rng: random.Random) -> Outcome:
    import psycopg

    clock = ManualClock(ORIGIN)
    with place_of(case) as place:
        ledger = place.open(QuickClock())
        write_incidents(ledger, clock, rng)
        incident_id, seq, length = _chosen(ledger, rng)
        change = rng.choice((_FLIP_IN_BODY, _FLIP_IN_HASH, _DELETE, _DELETE))
        values = {"id": incident_id, "seq": seq, "bit": rng.randrange(8 * 32)}
        with psycopg.connect(place.url, autocommit=True) as db:
            db.execute(change.encode(), values)
        outcome = _judged(ledger, incident_id, seq, length)
        ledger.close()
        return outcome


def _judged(ledger: Ledger, incident_id: str, seq: int, length: int) -> Outcome:
    violations = []
    for name in ledger.incident_ids():
        verdict = verify(ledger, name)
        if name == incident_id:
            right = not verdict.ok and verdict.first_bad_seq == seq and verdict.records == seq - 1
        else:
            right = verdict.ok
        if not right:
            what = (
                f"record {seq} of {incident_id} ({length} records) was changed; verification of "
                f"{name} says ok={verdict.ok}, first bad {verdict.first_bad_seq}"
            )
            violations.append(Violation(invariant=Invariant.I3, incident_id=name, what=what))
    return Outcome(violations=violations, counts={"changes": 1})


FAULT = Fault(
    name="tampering",
    how="a bit flipped or a row deleted in the store; verification names the first bad record",
    stores=("sqlite", "postgres"),
    default=20,
    full=500,
    run=run,
)
