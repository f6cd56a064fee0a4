"""What is known after a case of the crash matrix: what the store holds, and what others saw.

The others cannot be talked into anything: workers note outside of the store what it acknowledged,
and the target notes itself what came and what took effect.
"""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from holdfast.incident import Kind, Phase, Record, State, fold
from holdfast.response.ports import Repeatability
from holdfast.response.store import SYSTEM_CHAIN, Answer, HeadMark, Ledger, Link


@dataclass(frozen=True, slots=True, kw_only=True)
class Acknowledged:
    """One record that `append` said is durable: noted by the worker, outside of the store.

    `began` is when the append was handed in, `at` when it was acknowledged; they and those of the
    target are on one clock (CLOCK_MONOTONIC, or a count in one process).
    """

    incident_id: str
    seq: int
    hash: str
    worker: str = ""
    fence: int = 0
    at: float | None = None
    began: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Claimed:
    """A claim that was granted, noted when the store had answered."""

    incident_id: str
    fence: int
    worker: str
    at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """One request as the target itself saw it. `took` says whether it had an effect there."""

    key: str
    target: str
    took: bool = True
    at: float | None = None

    @property
    def incident_id(self) -> str:
        return self.key.split("/")[0]

    @property
    def step(self) -> str:
        """Name the step: the key without the attempt."""
        return self.key.rpartition("/")[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """A request that the inbox accepted. `text` is found in the note that it leads to, once."""

    id: str
    incident_id: str
    text: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """One chain as it is stored: bytes and hashes, and where the store says that it ends."""

    links: Sequence[Link]
    mark: HeadMark | None


@dataclass(frozen=True, kw_only=True)
class History:
    """All that is known after a case. `quiet`: the faults had stopped and everything had settled."""

    chains: Mapping[str, Stored]
    acknowledged: Sequence[Acknowledged] = ()
    arrivals: Sequence[Arrival] = ()
    accepted: Sequence[Accepted] = ()
    claimed: Sequence[Claimed] = ()
    open_requests: Sequence[str] = ()
    answers: Mapping[str, Answer] = field(default_factory=dict)
    repeatability: Mapping[str, Repeatability] = field(default_factory=dict)
    quiet: bool = False

    @cached_property
    def records(self) -> Mapping[str, Sequence[Record]]:
        """Read the bodies; a chain whose bytes are no records any more is absent (I3 says so)."""
        read = {name: _read(stored.links) for name, stored in self.chains.items()}
        return {name: records for name, records in read.items() if records is not None}

    @cached_property
    def states(self) -> Mapping[str, State]:
        """Fold what can be folded."""
        found = {n: _folded(n, records) for n, records in self.records.items() if n != SYSTEM_CHAIN}
        return {name: state for name, state in found.items() if state is not None}

    def of_kind(self, incident_id: str, *kinds: Kind) -> list[Record]:
        return [r for r in self.records.get(incident_id, ()) if r.kind in kinds]


def read_history(
    ledger: Ledger,
    *,
    acknowledged: Sequence[Acknowledged] = (),
    arrivals: Sequence[Arrival] = (),
    accepted: Sequence[Accepted] = (),
    claimed: Sequence[Claimed] = (),
    repeatability: Mapping[str, Repeatability] | None = None,
    quiet: bool = False,
) -> History:
    """Read all chains and the inbox of a store, and put them beside what others saw."""
    names = [*ledger.incident_ids(), SYSTEM_CHAIN]
    chains = {}
    for name in names:
        links, mark = ledger.chain(name)
        # An id that was allotted without a first record is no incident yet.
        if links or (mark is not None and mark.seq > 0):
            chains[name] = Stored(links=links, mark=mark)
    waiting = [r.id for name in ledger.waiting() for r in ledger.requests(name)]
    answers = {a.id: found for a in accepted if (found := ledger.answer_of(a.id)) is not None}
    return History(
        chains=chains,
        acknowledged=acknowledged,
        arrivals=arrivals,
        accepted=accepted,
        claimed=claimed,
        open_requests=waiting,
        answers=answers,
        repeatability=repeatability or {},
        quiet=quiet,
    )


def counted(history: History) -> dict[str, int]:
    """Count what happened, so that a report shows that the interesting things did."""
    kinds = Counter(record.kind for records in history.records.values() for record in records)
    states = history.states.values()
    return {
        "effects": sum(arrival.took for arrival in history.arrivals),
        "in_doubt": kinds[Kind.STEP_IN_DOUBT],
        "repeated": kinds[Kind.STEP_REPEATED],
        "reconciled": kinds[Kind.STEP_RECONCILED],
        "resolved": sum(state.phase is Phase.RESOLVED for state in states),
        "held": sum(state.held is not None for state in states),
    }


def _read(links: Sequence[Link]) -> Sequence[Record] | None:
    try:
        return [Record.from_body(json.loads(link.body)) for link in links]
    except (ValueError, KeyError, TypeError):
        return None


def _folded(name: str, records: Sequence[Record]) -> State | None:
    try:
        return fold(records, name)
    except Exception:  # noqa: BLE001 - whatever it is: the caller reports a chain without a state
        return None
