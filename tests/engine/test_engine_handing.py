"""Handed over for real: the packet is in the ledger, a restart changes nothing, targets are read."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from holdfast.app.tokens import all_scopes, create_token
from holdfast.incident import Kind, fold
from holdfast.kernel import SYSTEM, Actor, ActorKind, Contact
from holdfast.response.store import Answer, Request
from tests.engine.engine_parts import LaterClock, Site, make_site, site, with_world

CRITERION = 'errors{service="shop"} <= baseline * 1.2 + 0.02 for 500ms in each region'


def ask(made: Site, kind: str, who: str = "dana", **data: object) -> Answer:
    """Ask as somebody with a token of their own."""
    tokens = made.engine.carrier.system.state().tokens.values()
    known = {token.name: token.token_id for token in tokens}
    if who not in known:
        _, fact = create_token(
            made.ledger, name=who, kind="person", scopes=all_scopes("person"), days=1,
            by=SYSTEM, now=made.clock.now(),
        )  # fmt: skip
        known[who] = fact.token_id
    actor = Actor(kind=ActorKind.HUMAN, id=who, token_id=known[who])
    name = f"{kind}-{who}-{len(made.seen.records)}-{made.engine.worker}"
    made.ledger.submit(
        Request(
            id=name, n=0, incident_id="INC-1", kind=kind, actor=actor, data=data,
            at=made.clock.now(),
        )
    )  # fmt: skip
    made.engine.wake.set()
    return made.answer(name)


def under_command(made: Site) -> Site:
    world = made.engine.carrier.world
    team = Contact(id="team", name="Team", members=("erin",))
    catalogue = replace(world.catalogue, contacts={**world.catalogue.contacts, "team": team})
    timing = replace(world.timing, handoff_timeout_s=3600.0)
    holders = {"team": frozenset({"erin"})}
    with_world(made, mode="guided", catalogue=catalogue, holders=holders, timing=timing)
    return made


@pytest.fixture
def directed(tmp_path: Path) -> Iterator[Site]:
    """A step was directed under a charter, performed and verified."""
    with site(tmp_path) as made:
        under_command(made).start()
        made.open()
        made.seen.until(made.seen.has(Kind.HELD))
        allowed = [{"action": "write_mark", "targets": ["shop"]}]
        assert ask(
            made, "charter", commander="dana", objective="it works", allowed=allowed,
            expires_s=3600.0, because="step by step",
        ).ok  # fmt: skip
        assert ask(
            made, "direct", action="write_mark", target="shop", expect=[CRITERION],
            because="it needs one",
        ).ok  # fmt: skip
        made.seen.until(made.seen.has(Kind.VERIFICATION_RECORDED))
        yield made


def test_a_handoff_survives_a_restart_and_nobody_acts_until_it_is_accepted(
    directed: Site, tmp_path: Path
) -> None:
    assert ask(directed, "handoff", to="team", because="theirs").ok
    directed.seen.until(lambda: any(sent.startswith("team: ") for sent in directed.pages.sent))
    issued = next(r for r in directed.seen.records if r.data.get("to") == "team").data
    document = issued["packet"]
    assert json.loads(json.dumps(document)) == document
    assert document["version"] == 2
    assert document["next_safe_step"]["kind"] == "accept"
    assert document["do_not_repeat"][0]["target"] == "shop"
    health = {row["signal"]: row for row in document["regional_health"]}
    assert health["errors"]["from"] == "read"
    assert health["errors"]["value"] is not None
    directed.stop()

    after = under_command(
        make_site(tmp_path, worker="w-2", ledger=directed.ledger, clock=LaterClock(60))
    ).start()
    try:
        assert "nobody acts" in ask(after, "direct", because="now", action="write_mark").message
        assert ask(after, "accept", "erin").ok
        state = fold(after.ledger.records("INC-1"), "INC-1")
        assert (state.commander, state.handoff) == ("erin", None)
        assert len(after.effects()) == 1
    finally:
        after.stop()


def test_handed_back_the_targets_are_read_and_it_is_diagnosed_anew(directed: Site) -> None:
    answer = ask(directed, "handoff", to="holdfast", because="go on")
    directed.seen.until(directed.seen.has(Kind.RESOLVED))

    assert answer.ok
    looked = [r for r in directed.seen.records if r.kind == Kind.CONTROL_PLANES_OBSERVED]
    assert looked[-1].data["targets"]["shop"]["reachable"] is True
    assert directed.seen.kinds().index(Kind.TAKEOVER_ACCEPTED) > 0
    assert len(directed.effects()) == 1
    assert directed.state().commander is None
