"""The restricted audit store: whole outputs, for who may, and never without a record of it."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import apsw
import pytest

from holdfast.app.audit import (
    KEY_NAME,
    OUTPUT_BYTES_MAX,
    AuditReading,
    AuditStore,
    open_sealer,
)
from holdfast.engine import Hands
from holdfast.incident import Record
from holdfast.kernel import Actor, ActorKind, ManualClock
from holdfast.kernel.errors import (
    BadInputError,
    LedgerUnavailableError,
    NotFoundError,
    RefusedError,
)
from holdfast.ledger import SqliteLedger, verify
from holdfast.ledger.sealing import CannotOpenError, new_sealing_key
from holdfast.response.ports import (
    ActionOutcome,
    ActionRequest,
    Effect,
    KeptOutput,
    ProbeResult,
    Repeatability,
)
from holdfast.response.store import SYSTEM_CHAIN, SealedBlob
from tests.ledger.ledger_parts import START, batch

DANA = Actor(kind=ActorKind.HUMAN, id="dana", token_id="t1")
OUTPUT = "restarted\nPASSWORD=hunter2\n"


@dataclass(slots=True)
class Place:
    directory: Path
    ledger: SqliteLedger
    clock: ManualClock
    store: AuditStore

    @property
    def reading(self) -> AuditReading:
        return AuditReading(self.ledger, self.directory, DANA, self.clock)

    def reads(self) -> list[tuple[Any, ...]]:
        found = [r for r in self.ledger.records(SYSTEM_CHAIN) if r.kind == "audit_read"]
        return [(r.actor.id, r.data["what"], r.data["step_id"], r.data["digest"]) for r in found]

    def step(self, kept: KeptOutput, *, step_id: str = "S1", attempt: int = 1) -> None:
        """Write the outcome of a step that links to an output."""
        claim = self.ledger.open_incident("w", 30.0)
        data = {"step_id": step_id, "attempt": attempt, **kept.as_data()}
        record = Record(
            incident_id=claim.incident_id, seq=1, kind="step_finished", at=START, data=data
        )
        self.ledger.append(batch(claim, records=[record]))


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    clock = ManualClock(START)
    ledger = SqliteLedger(tmp_path / "holdfast.db", clock)
    sealer = open_sealer(tmp_path, make=True)
    yield Place(tmp_path, ledger, clock, AuditStore(ledger, sealer, clock, retention_days=90))
    ledger.close()


def keep(place: Place, output: str = OUTPUT, step_id: str = "S1") -> KeptOutput:
    return place.store.keep(incident_id="INC-1", step_id=step_id, output=output)


def test_a_whole_output_is_read_by_step_and_by_digest_and_each_read_is_a_record(
    place: Place,
) -> None:
    kept = keep(place)
    place.step(kept)

    assert kept.digest is not None
    assert place.reading.of_step("INC-1", "S1") == OUTPUT.encode()
    assert place.reading.of_digest(f"audit:{kept.digest}") == OUTPUT.encode()
    (entry,) = place.reading.entries("INC-1")
    assert (entry.step_id, entry.attempt, entry.size_bytes, entry.kept) == ("S1", 1, 27, True)
    assert place.reads() == [
        ("dana", "show", "S1", kept.digest),
        ("dana", "show", "S1", kept.digest),
        ("dana", "list", None, None),
    ]


@pytest.mark.promise("L18")
def test_a_read_that_cannot_be_recorded_shows_nothing(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = keep(place)

    def full(*_: object) -> int:
        raise LedgerUnavailableError("the disk is full")

    monkeypatch.setattr(place.ledger, "append_system", full)
    with pytest.raises(LedgerUnavailableError):
        place.reading.of_digest(kept.digest or "")


def test_nothing_of_an_output_can_be_read_in_the_database(place: Place) -> None:
    keep(place, "hunter2 " * 100)
    for path in place.directory.glob("holdfast.db*"):
        assert b"hunter2" not in path.read_bytes()


def test_a_long_output_is_cut_and_says_so(place: Place) -> None:
    kept = keep(place, "x" * (OUTPUT_BYTES_MAX + 5))
    text = place.reading.of_digest(kept.digest or "")

    assert kept.size_bytes == OUTPUT_BYTES_MAX + 5
    assert text.startswith(b"x" * OUTPUT_BYTES_MAX + b"\n[cut here: 5 of 1048581 bytes")


@pytest.mark.parametrize("output", ["b\udcffyte", "\ud83d half", "ünïcode ✓"])
def test_every_text_can_be_kept(place: Place, output: str) -> None:
    kept = keep(place, output)

    assert kept.problem is None
    assert place.reading.of_digest(kept.digest or "")


def test_what_was_kept_long_enough_is_neither_shown_nor_left_there(place: Place) -> None:
    kept = keep(place)
    place.step(kept)
    place.clock.jump(timedelta(days=90, seconds=1))
    with pytest.raises(RefusedError, match="was to be kept until 2030-04-01"):
        place.reading.of_digest(kept.digest or "")
    place.store.prune()
    with pytest.raises(NotFoundError, match="removed after its time"):
        place.reading.of_step("INC-1", "S1")

    assert [entry.kept for entry in place.reading.entries("INC-1")] == [False]
    assert verify(place.ledger, "INC-1").ok, "the record that linked to it stays"


def test_pruning_looks_once_an_hour(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[object] = []
    monkeypatch.setattr(place.ledger, "prune_blobs", looks.append)
    for _ in range(130):
        place.store.prune()
        place.clock.jump(timedelta(minutes=1))

    assert len(looks) == 3


def test_an_entry_that_was_changed_or_whose_key_is_gone_is_a_clear_error(place: Place) -> None:
    kept = keep(place)
    key = place.directory / KEY_NAME
    own = key.read_text()
    key.write_text(new_sealing_key())
    with pytest.raises(CannotOpenError, match=r"which is not in the key file .*audit\.key"):
        place.reading.of_digest(kept.digest or "")
    key.unlink()
    with pytest.raises(BadInputError, match=r"can't read the key .*audit\.key"):
        place.reading.of_digest(kept.digest or "")
    assert not key.exists(), "reading makes no key"

    key.touch(mode=0o600)
    key.write_text(own)
    db = apsw.Connection(str(place.directory / "holdfast.db"))
    db.execute("update audit_blob set step_id = 'S9'")
    db.close()
    with pytest.raises(CannotOpenError, match="moved from another step"):
        place.reading.of_digest(kept.digest or "")
    assert len(place.reads()) == 3, "a read that fails is on record too"


def test_a_digest_or_a_step_that_is_not_there_is_not_found(place: Place) -> None:
    for digest in ("0" * 64, "x" * 10_000, ""):
        with pytest.raises(NotFoundError, match="audit list INCIDENT"):
            place.reading.of_digest(digest)
    place.step(keep(place))
    with pytest.raises(NotFoundError, match="step S7 of INC-1 has no output"):
        place.reading.of_step("INC-1", "S7")


# --- between the action and its outcome -----------------------------------


@dataclass(slots=True)
class Prints:
    """An action that prints a secret, and looks whether the store has it by the outcome."""

    output: str = OUTPUT
    name: str = "print_it"
    repeatability: Repeatability = Repeatability.NONE
    least_impact: str = "low"

    def observe(self, _target: str, _params: object) -> dict[str, Any]:
        return {"reachable": True, "reversible": "no"}

    def perform(self, _request: ActionRequest) -> ActionOutcome:
        return ActionOutcome(ok=True, effect=Effect.PRESENT, summary="ok", output=self.output)

    def probe(self, request: ActionRequest) -> ProbeResult:
        raise AssertionError(request)

    def undo(self, request: ActionRequest) -> ActionOutcome:
        raise AssertionError(request)


REQUEST = ActionRequest(
    action="print_it", target="shop", params={}, idempotency_key="INC-7/S3/2", fence=1, timeout_s=5
)


def perform(place: Place, store: AuditStore | None, output: str = OUTPUT) -> ActionOutcome:
    hands = Hands(actions={"print_it": Prints(output)}, clock=place.clock, audit=store)
    returned = hands.perform(REQUEST, "S3", redone=False)
    assert returned.outcome is not None
    return returned.outcome


def test_the_outcome_has_the_redacted_output_and_the_link_to_the_whole(place: Place) -> None:
    outcome = perform(place, place.store)

    assert "hunter2" not in outcome.output
    assert outcome.kept is not None
    blob = place.ledger.blob(outcome.kept.digest or "")
    assert blob is not None, "it is durable before anybody hears of the outcome"
    assert (blob.incident_id, blob.step_id) == ("INC-7", "S3")
    assert outcome.kept.as_data() == {
        "output_bytes": 27,
        "output_digest": blob.digest,
        "output_link": f"audit:{blob.digest}",
    }
    assert place.reading.of_digest(blob.digest) == OUTPUT.encode()


@pytest.mark.parametrize("error", [LedgerUnavailableError("the disk is full"), ZeroDivisionError()])
def test_a_store_that_cannot_be_written_costs_no_outcome_and_says_why(
    place: Place, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fails(_blob: SealedBlob) -> None:
        raise error

    monkeypatch.setattr(place.ledger, "put_blob", fails)
    outcome = perform(place, place.store)

    assert outcome.ok
    assert outcome.kept is not None
    data = outcome.kept.as_data()
    assert (data["output_digest"], data["output_link"], data["output_bytes"]) == (None, None, 27)
    assert "the whole output could not be kept" in data["output_problem"]


def test_an_action_that_says_nothing_leaves_no_entry(place: Place) -> None:
    assert perform(place, place.store, "").kept is None
    assert perform(place, None).kept is None
