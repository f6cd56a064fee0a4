"""The one checker: what must be true of every history, whatever was done to Holdfast.

It trusts no projection and no table of Holdfast's but the chains and the inbox, and hashes the
chains with code of its own.
"""

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

from holdfast.incident import Kind, StepStatus
from holdfast.response.store import SYSTEM_CHAIN, Link
from tests.crash.history import (
    Accepted,
    Acknowledged,
    Arrival,
    Claimed,
    History,
    Stored,
    counted,
    read_history,
)
from tests.crash.matrix import Invariant, Violation

__all__ = [
    "Accepted",
    "Acknowledged",
    "Arrival",
    "Claimed",
    "History",
    "Stored",
    "check",
    "counted",
    "read_history",
]


def check(history: History) -> list[Violation]:
    """Check every invariant and return what is broken, each with what was seen."""
    return [
        Violation(invariant=invariant, incident_id=incident_id, what=what)
        for invariant, rule in _RULES
        for incident_id, what in rule(history)
    ]


Finding = tuple[str, str]


def _one_effect(history: History) -> Iterator[Finding]:
    effects = defaultdict(list)
    for arrival in history.arrivals:
        if arrival.took and arrival.key not in _settled_as_absent(history, arrival.incident_id):
            effects[arrival.step].append(arrival.key)
    for step, keys in effects.items():
        if len(keys) > 1:
            yield step.split("/")[0], f"step {step} had {len(keys)} effects: {', '.join(keys)}"


def _settled_as_absent(history: History, incident_id: str) -> set[str]:
    """Name the attempts of which a person said that they had no effect: their word, not ours."""
    state = history.states.get(incident_id)
    settled = history.of_kind(incident_id, Kind.STEP_SETTLED)
    denied = {r.data["step_id"]: r.seq for r in settled if not r.data["happened"]}
    if state is None:
        return set()
    return {
        r.data["idempotency_key"]
        for r in history.of_kind(incident_id, Kind.STEP_INTENDED)
        if r.seq < denied.get(r.data["step_id"], 0)
    }


def _nothing_lost(history: History) -> Iterator[Finding]:
    stored = {
        (name, link.seq): link.hash.hex()
        for name, chain in history.chains.items()
        for link in chain.links
    }
    for ack in history.acknowledged:
        found = stored.get((ack.incident_id, ack.seq))
        if found is None:
            yield ack.incident_id, f"record {ack.seq} was acknowledged and is not there"
        elif found != ack.hash:
            yield ack.incident_id, f"record {ack.seq} was acknowledged with another hash"


def _whole_chains(history: History) -> Iterator[Finding]:
    for name, stored in history.chains.items():
        seqs = [link.seq for link in stored.links]
        if bad := _first_bad(name, stored):
            yield name, bad
        elif seqs != list(range(1, len(seqs) + 1)):
            yield name, f"the numbers are not gapless: {seqs}"
        elif stored.mark is not None and stored.mark.seq != len(seqs):
            yield name, f"the head says {stored.mark.seq} records, there are {len(seqs)}"
        elif name != SYSTEM_CHAIN and name not in history.states:
            yield name, "its records can't follow each other: the fold refuses them"


def _first_bad(name: str, stored: Stored) -> str | None:
    """Hash the chain once more, with code of the checker's own."""
    head = bytes(32)
    for link in stored.links:
        head = hashlib.sha256(head + link.body).digest()
        if head != link.hash:
            return f"record {link.seq} does not match its hash, or the one before it is not the one"
        body = _body(link)
        if body is None or (body.get("incident_id"), body.get("seq")) != (name, link.seq):
            return f"record {link.seq} is not the record that it stands for"
    if stored.mark is not None and stored.mark.head != head:
        return f"the head is not that of the last record, {len(stored.links)}"
    return None


def _body(link: Link) -> Mapping[str, Any] | None:
    try:
        body = json.loads(link.body)
    except ValueError:
        return None
    return body if isinstance(body, dict) else None


def _one_writer(history: History) -> Iterator[Finding]:
    writers = defaultdict(set)
    for ack in history.acknowledged:
        if ack.worker:
            writers[ack.incident_id, ack.fence].add(ack.worker)
    for (name, fence), workers in writers.items():
        if len(workers) > 1:
            yield name, f"fence {fence} was held by {', '.join(sorted(workers))}"
    by_seq = sorted(history.acknowledged, key=lambda ack: (ack.incident_id, ack.seq))
    yield from _going_back([(a.incident_id, a.seq, a.fence) for a in by_seq if a.worker])
    for name in history.chains:
        kinds = (Kind.STEP_INTENDED, Kind.STEP_REPEATED)
        fenced = [r for r in history.of_kind(name, *kinds) if "fence" in r.data]
        yield from _going_back([(name, r.seq, r.data["fence"]) for r in fenced])
    yield from _written_after_being_overtaken(history)
    yield from _lost_requests(history)


def _written_after_being_overtaken(history: History) -> Iterator[Finding]:
    """An append that was handed in when a newer fence had been granted must not have gone in."""
    granted = defaultdict(list)
    for claim in history.claimed:
        granted[claim.incident_id].append(claim)
    for ack in history.acknowledged:
        for claim in granted[ack.incident_id]:
            if claim.fence > ack.fence and ack.began is not None and claim.at < ack.began:
                what = (
                    f"record {ack.seq} was written by {ack.worker} under fence {ack.fence} when "
                    f"{claim.worker} held fence {claim.fence}"
                )
                yield ack.incident_id, what


def _going_back(fences: Sequence[tuple[str, int, int]]) -> Iterator[Finding]:
    for (name, _, before), (same, seq, after) in pairwise(fences):
        if name == same and after < before:
            yield name, f"record {seq} was written under fence {after} after fence {before}"


def _lost_requests(history: History) -> Iterator[Finding]:
    waiting = set(history.open_requests)
    for asked in history.accepted:
        if asked.id not in waiting and asked.id not in history.answers:
            yield asked.incident_id, f"request {asked.id} was accepted and is not in the inbox"
        elif history.quiet and asked.id in waiting:
            yield asked.incident_id, f"request {asked.id} was never answered"
        if asked.text is None:
            continue
        notes = history.of_kind(asked.incident_id, Kind.NOTE)
        count = sum(note.data["text"] == asked.text for note in notes)
        answer = history.answers.get(asked.id)
        if count != (1 if answer is not None and answer.ok else 0):
            yield asked.incident_id, f"request {asked.id} was carried out {count} times"


def _intent_first(history: History) -> Iterator[Finding]:
    known = _known_durable(history)
    intents = {
        record.data["idempotency_key"]: record
        for name in history.chains
        for record in history.of_kind(name, Kind.STEP_INTENDED)
    }
    for arrival in history.arrivals:
        if not arrival.took:
            continue
        intent = intents.get(arrival.key)
        if intent is None:
            yield arrival.incident_id, f"{arrival.key} had an effect and no intent of it is stored"
            continue
        durable_at = known.get((arrival.incident_id, intent.seq))
        if durable_at is not None and arrival.at is not None and arrival.at < durable_at:
            yield arrival.incident_id, f"{arrival.key} had its effect before its intent was durable"


def _known_durable(history: History) -> Mapping[tuple[str, int], float]:
    """Say since when each noted record was known to be durable.

    A later record of its chain that was acknowledged proves it too: who wrote the record itself may
    have been stopped before it could note anything, and another worker have read it and gone on.
    """
    known: dict[tuple[str, int], float] = {}
    earliest: dict[str, float] = {}
    for ack in sorted(history.acknowledged, key=lambda ack: -ack.seq):
        if ack.at is not None:
            at = min(ack.at, earliest.get(ack.incident_id, ack.at))
            earliest[ack.incident_id] = known[ack.incident_id, ack.seq] = at
    return known


def _no_blind_redo(history: History) -> Iterator[Finding]:
    for name, state in history.states.items():
        yield from _arrived_again(history, name)
        yield from _intended_again(history, name)
        yield from _repeated(history, name)
        doubtful = [step.step_id for step in state.unsettled]
        if history.quiet and doubtful and not state.held:
            yield name, f"{', '.join(doubtful)} is left in doubt and the incident is not held"


def _arrived_again(history: History, name: str) -> Iterator[Finding]:
    """More requests at the target than intents and repeats that are written down."""
    came = Counter(a.key for a in history.arrivals if a.incident_id == name)
    for record in history.of_kind(name, Kind.STEP_INTENDED):
        key, step_id = record.data["idempotency_key"], record.data["step_id"]
        repeats = [
            r
            for r in history.of_kind(name, Kind.STEP_REPEATED)
            if r.data.get("idempotency_key", key) == key and r.data["step_id"] == step_id
        ]
        if came[key] > 1 + len(repeats):
            yield (
                name,
                f"{key} arrived {came[key]} times with {len(repeats)} repeats written down",
            )


def _intended_again(history: History, name: str) -> Iterator[Finding]:
    """A further attempt needs an outcome that proves that the one before had no effect."""
    proven: dict[str, bool] = {}
    for record in history.records[name]:
        step_id = str(record.data.get("step_id"))
        if record.kind == Kind.STEP_INTENDED:
            if not proven.get(step_id, True):
                yield name, f"{step_id} was intended again (record {record.seq}) without proof"
            proven[step_id] = False
        elif record.kind in {Kind.STEP_FINISHED, Kind.STEP_RECONCILED, Kind.STEP_SETTLED}:
            proven[step_id] = record.data.get("effect") == "absent"


def _repeated(history: History, name: str) -> Iterator[Finding]:
    """Only what its target can tell apart is performed again, and only out of doubt."""
    doubted: set[str] = set()
    actions = {r.data["step_id"]: r for r in history.of_kind(name, Kind.STEP_PROPOSED)}
    for record in history.records[name]:
        step_id = str(record.data.get("step_id"))
        if record.kind == Kind.STEP_IN_DOUBT:
            doubted.add(step_id)
        if record.kind != Kind.STEP_REPEATED:
            continue
        proposed = actions.get(step_id)
        action = proposed.data["action"] if proposed else ""
        kind = history.repeatability.get(action)
        if step_id not in doubted:
            yield name, f"{step_id} was repeated (record {record.seq}) and was not in doubt"
        elif kind is not None and not kind.may_be_redone:
            yield name, f"{step_id} was repeated although {action} is {kind.value}"


def _all_settled(history: History) -> Iterator[Finding]:
    if not history.quiet:
        return
    for name, state in history.states.items():
        intended = [s.step_id for s in state.unsettled if s.status is StepStatus.INTENDED]
        if intended:
            yield name, f"{', '.join(intended)} stayed intended without an outcome"
        elif not (state.ended or state.held or state.escalated):
            yield name, f"it stayed {state.phase.value}, neither resolved, held nor escalated"


_RULES: Sequence[tuple[Invariant, Callable[[History], Iterator[Finding]]]] = (
    (Invariant.I1, _one_effect),
    (Invariant.I2, _nothing_lost),
    (Invariant.I3, _whole_chains),
    (Invariant.I4, _one_writer),
    (Invariant.I5, _intent_first),
    (Invariant.I6, _no_blind_redo),
    (Invariant.I7, _all_settled),
)
