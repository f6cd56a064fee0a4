"""The checker finds each invariant broken where it is, and nothing where nothing is."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest

from holdfast.incident import Kind, Record
from holdfast.kernel.canonical import canonical_json
from holdfast.ledger.chain import GENESIS, link_hash
from holdfast.response.ports import Repeatability
from holdfast.response.store import Answer, HeadMark, Link
from tests.crash.checker import Accepted, Acknowledged, Arrival, History, Stored, check
from tests.crash.matrix import PROMISES, Invariant
from tests.scene import DANA, Scene, finished, held, intended, proposed, up_to_plan
from tests.scenes import bad_deploy

NAME = "INC-1"
KEY = f"{NAME}/S1/1"
ASKED = Accepted(id="r-1", incident_id=NAME, text="a note of r-1")


def stored(records: Sequence[Record]) -> Stored:
    """Chain records up as a store does."""
    head, links = GENESIS, []
    for record in records:
        body = canonical_json(record.body())
        head = link_hash(head, body)
        links.append(Link(incident_id=NAME, seq=record.seq, body=body, hash=head))
    return Stored(links=links, mark=HeadMark(incident_id=NAME, seq=len(links), head=head))


def noted(chain: Stored) -> list[Acknowledged]:
    """What a worker noted of these, at the time of their number."""
    return [
        Acknowledged(
            incident_id=NAME, seq=n.seq, hash=n.hash.hex(), worker="w-1", fence=1, at=float(n.seq)
        )
        for n in chain.links
    ]


def history(records: Sequence[Record], **more: Any) -> History:  # noqa: ANN401 - any field
    """A quiet end, where every record was acknowledged and the one effect came after its intent."""
    chain = stored(records)
    intents = [r.seq for r in records if r.kind == Kind.STEP_INTENDED]
    arrivals = [Arrival(key=KEY, target="shop-api", at=intents[0] + 0.5)] if intents else []
    fields: dict[str, Any] = {
        "chains": {NAME: chain},
        "acknowledged": noted(chain),
        "arrivals": arrivals,
        "repeatability": {"rollback_deploy": Repeatability.IDEMPOTENT},
        "quiet": True,
    }
    return History(**fields | more)


def with_note(times: int = 1) -> list[Record]:
    scene = Scene(NAME)
    scene.records = bad_deploy()
    for _ in range(times):
        scene.add(Kind.NOTE, {"text": ASKED.text}, actor=DANA)
    return scene.records


def doubtful(*, repeats: int = 0, hold: bool = True, doubt: bool = True) -> list[Record]:
    """A step that was intended, and of which nobody knows what became."""
    scene = Scene(NAME)
    up_to_plan(scene)
    proposed(scene)
    intended(scene)
    if doubt:
        scene.add(Kind.STEP_IN_DOUBT, {"step_id": "S1", "why": "its worker stopped"})
    for _ in range(repeats):
        scene.add(Kind.STEP_REPEATED, {"step_id": "S1", "idempotency_key": KEY, "fence": 2})
    if hold:
        held(scene)
    return scene.records


def twice(outcome: str = "succeeded") -> list[Record]:
    """A step of which a second attempt is intended."""
    scene = Scene(NAME)
    up_to_plan(scene)
    proposed(scene)
    intended(scene)
    finished(scene, outcome="failed", effect="absent" if outcome == "failed" else "present")
    proposed(scene, attempt=2)
    intended(scene, attempt=2)
    finished(scene, attempt=2)
    held(scene)
    return scene.records


def arrival(key: str = KEY, at: float = 90.0, *, took: bool = True) -> Arrival:
    return Arrival(key=key, target="shop-api", at=at, took=took)


def test_a_whole_and_quiet_history_breaks_nothing() -> None:
    answers = {ASKED.id: Answer(ok=True, message="noted")}

    assert check(history(bad_deploy())) == []
    assert check(history(with_note(), accepted=[ASKED], answers=answers)) == []
    assert check(history(doubtful())) == []
    assert check(history(twice("failed"), arrivals=[arrival(f"{NAME}/S1/2")])) == []


def test_a_repeat_that_its_target_remembers_breaks_nothing() -> None:
    again = [arrival(), arrival(took=False)]

    assert check(history(doubtful(repeats=1), arrivals=again)) == []


def test_an_effect_that_a_person_denied_counts_as_their_word() -> None:
    scene = Scene(NAME)
    scene.records = doubtful()
    scene.now = scene.records[-1].at
    data = {"step_id": "S1", "happened": False, "effect": "absent", "evidence": "I looked"}
    scene.add(Kind.STEP_SETTLED, data, actor=DANA)
    proposed(scene, attempt=2)
    intended(scene, attempt=2)
    finished(scene, attempt=2)

    assert check(history(scene.records, arrivals=[arrival(), arrival(f"{NAME}/S1/2")])) == []


def changed(records: Sequence[Record], seq: int, **parts: Any) -> History:  # noqa: ANN401
    whole = history(records)
    links = list(whole.chains[NAME].links)
    links[seq - 1] = replace(links[seq - 1], **parts)
    return replace(whole, chains={NAME: replace(whole.chains[NAME], links=links)})


def without(records: Sequence[Record], seq: int, *, noted_too: bool = False) -> History:
    whole = history(records)
    links = [link for link in whole.chains[NAME].links if link.seq != seq]
    left = [ack for ack in whole.acknowledged if not noted_too or ack.seq != seq]
    chains = {NAME: replace(whole.chains[NAME], links=links)}
    return replace(whole, chains=chains, acknowledged=left)


def cut(records: Sequence[Record]) -> History:
    """The last record is gone and the head moved back: a whole chain that is too short."""
    whole = history(records)
    return replace(whole, chains={NAME: stored(records[:-1])})


def held_by_two() -> History:
    whole = history(bad_deploy())
    other = replace(whole.acknowledged[3], worker="w-2")
    return replace(whole, acknowledged=[*whole.acknowledged, other])


def fence_back() -> History:
    whole = history(bad_deploy())
    first = replace(whole.acknowledged[0], fence=2, worker="w-2")
    return replace(whole, acknowledged=[first, *whole.acknowledged[1:]])


def fence_back_in_the_chain() -> History:
    records = twice("failed")
    at = next(i for i, r in enumerate(records) if r.kind == Kind.STEP_INTENDED)
    records[at] = replace(records[at], data={**records[at].data, "fence": 7})
    return history(records, acknowledged=[], arrivals=[])


def early() -> History:
    records = bad_deploy()
    seq = next(r.seq for r in records if r.kind == Kind.STEP_INTENDED)
    return history(records, arrivals=[arrival(at=seq - 0.5)])


BROKEN: dict[str, tuple[Invariant, Callable[[], History]]] = {
    "one attempt took effect twice": (
        Invariant.I1,
        lambda: history(doubtful(repeats=1), arrivals=[arrival(), arrival()]),
    ),
    "two attempts took effect": (
        Invariant.I1,
        lambda: history(twice("failed"), arrivals=[arrival(), arrival(f"{NAME}/S1/2")]),
    ),
    "an acknowledged record is gone with its tail": (Invariant.I2, lambda: cut(bad_deploy())),
    "an acknowledged record is another one": (
        Invariant.I2,
        lambda: changed(bad_deploy(), 3, hash=b"x" * 32),
    ),
    "the store can be read and a middle record is gone": (
        Invariant.I3,
        lambda: without(bad_deploy(), 4, noted_too=True),
    ),
    "a body was changed": (Invariant.I3, lambda: changed(bad_deploy(), 4, body=b"{}")),
    "the records can't follow each other": (
        Invariant.I3,
        lambda: history([replace(r, seq=n) for n, r in enumerate(bad_deploy()[6:], start=1)]),
    ),
    "two workers wrote under one fence": (Invariant.I4, held_by_two),
    "a fence went back": (Invariant.I4, fence_back),
    "a fence went back in the chain": (Invariant.I4, fence_back_in_the_chain),
    "a request is gone from the inbox": (
        Invariant.I4,
        lambda: history(bad_deploy(), accepted=[replace(ASKED, text=None)]),
    ),
    "a request was never answered": (
        Invariant.I4,
        lambda: history(bad_deploy(), accepted=[ASKED], open_requests=[ASKED.id]),
    ),
    "a request was carried out twice": (
        Invariant.I4,
        lambda: history(
            with_note(2), accepted=[ASKED], answers={ASKED.id: Answer(ok=True, message="noted")}
        ),
    ),
    "an effect has no intent": (
        Invariant.I5,
        lambda: history(bad_deploy(), arrivals=[arrival(f"{NAME}/S9/1")]),
    ),
    "an effect came before its intent was durable": (Invariant.I5, early),
    "a target was asked again and nothing says so": (
        Invariant.I6,
        lambda: history(doubtful(), arrivals=[arrival(), arrival(took=False)]),
    ),
    "a step was intended again without proof": (
        Invariant.I6,
        lambda: history(twice(), arrivals=[]),
    ),
    "an action was repeated that its target can't tell apart": (
        Invariant.I6,
        lambda: history(
            doubtful(repeats=1), repeatability={"rollback_deploy": Repeatability.PROBEABLE}
        ),
    ),
    "a step was repeated that was not in doubt": (
        Invariant.I6,
        lambda: history(doubtful(repeats=1, doubt=False)),
    ),
    "a doubt is left to nobody": (Invariant.I6, lambda: history(doubtful(hold=False))),
    "an incident is left in the middle": (Invariant.I7, lambda: history(bad_deploy()[:8])),
    "a step is left without an outcome": (Invariant.I7, lambda: history(doubtful(doubt=False))),
}


@pytest.mark.parametrize("what", BROKEN)
def test_a_broken_invariant_is_found_when(what: str) -> None:
    invariant, made = BROKEN[what]

    assert invariant in {violation.invariant for violation in check(made())}


def test_every_invariant_has_a_history_that_breaks_it() -> None:
    assert {invariant for invariant, _ in BROKEN.values()} == set(Invariant) == set(PROMISES)


def test_while_faults_go_on_nothing_has_to_be_settled_yet() -> None:
    for what in ("a doubt is left to nobody", "an incident is left in the middle"):
        assert check(replace(BROKEN[what][1](), quiet=False)) == []


def test_a_violation_says_which_where_and_what() -> None:
    (violation,) = check(history(bad_deploy(), arrivals=[arrival(), arrival(f"{NAME}/S9/1")]))

    assert str(violation) == "I5 INC-1: INC-1/S9/1 had an effect and no intent of it is stored"
    assert violation.invariant.promise == "every effect has an earlier durable intent"
