"""Who may not ask for something, whatever they ask for."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

from holdfast.app.desk import Desk
from holdfast.app.steering import grant_override
from tests.response.response_world import BOT, runbook, world
from tests.unsafe.office import office
from tests.unsafe.situation import Group, Met, Stop
from tests.unsafe.stage import Stage, opened, without_a_runbook

ROWS = Group("Who asks")
A_PERSON = "A person asks, with a token of their own"
DIRECTED = {"action": "rollback_deploy", "target": "shop-api", "because": "it is at fault"}


def agent_asks(directory: Path, kind: str, stage: Stage, **data: object) -> Met:
    """Let an agent ask that holds all an agent can hold."""
    with office(directory) as place:
        secret = place.token("agent", "read", "diagnose", "propose", name="bot")
        return place.asks(secret, kind, stage, **data)


def waiting() -> Stage:
    """A step of high impact waits for an approval."""
    return opened(Stage(world=world(runbook("${entity}", impact="high"))))


@ROWS.unsafe(
    "An agent's token directs a step",
    stops=Stop.TOKEN,
    way_out="The agent can `holdfast propose`; a person directs in their own words",
)
def agent_directs(directory: Path) -> Met:
    return agent_asks(directory, "direct", without_a_runbook(), **DIRECTED)


@ROWS.unsafe("An agent's token approves a step", stops=Stop.TOKEN, way_out=A_PERSON)
def agent_approves(directory: Path) -> Met:
    stage = waiting()
    digest = stage.state.steps[0].hash
    return agent_asks(directory, "approve", stage, step_id="S1", hash=digest, because="fine")


@ROWS.unsafe("An agent's token settles a step in doubt", stops=Stop.TOKEN, way_out=A_PERSON)
def agent_settles(directory: Path) -> Met:
    stage = waiting()
    return agent_asks(directory, "settle", stage, step_id="S1", happened=True, evidence="I guess")


@ROWS.unsafe(
    "An agent's token resumes what a person holds",
    stops=Stop.TOKEN,
    way_out="Whoever holds it resumes it, or another person",
)
def agent_resumes(directory: Path) -> Met:
    stage = without_a_runbook()
    stage.ask("hold", because="nobody touches it")
    return agent_asks(directory, "resume", stage, because="go on")


def at_the_door(directory: Path, act: Callable[[Desk], object]) -> Met:
    """Let an agent do something that concerns the installation."""
    with office(directory) as place:
        secret = place.token("agent", "read", "diagnose", "propose", name="bot")
        place.freeze()
        before = place.desk.ledger.system_seq()
        said = place.refuses(secret, act)
        written = place.desk.ledger.records("_system", before)
        assert [record.kind for record in written] == ["request_refused"]
        return Met(said=said, done=0 if place.desk.system.state().freezes else 1)


@ROWS.unsafe("An agent's token raises a limit", stops=Stop.TOKEN, way_out=A_PERSON)
def agent_overrides(directory: Path) -> Met:
    return at_the_door(directory, lambda desk: grant_override(desk, "INC-1", "cooldown", "hurry"))


@ROWS.unsafe("An agent's token ends a freeze", stops=Stop.TOKEN, way_out=A_PERSON)
def agent_thaws(directory: Path) -> Met:
    return at_the_door(directory, lambda desk: desk.thaw("all", "it is over"))


@ROWS.unsafe(
    "An agent's directive that came past the door",
    stops=Stop.GUARD,
    rule="directive",
    way_out=A_PERSON,
)
def agent_past_the_door(_directory: Path) -> Met:
    stage = without_a_runbook()
    return stage.meets(stage.directing(by=BOT), lambda: stage.blocked("authority"))


@ROWS.unsafe(
    "An agent's approval that came past the door",
    stops=Stop.GUARD,
    way_out=A_PERSON,
)
def agent_s_approval_past_the_door(_directory: Path) -> Met:
    stage = waiting()
    return stage.meets(stage.approving(by=BOT), lambda: stage.blocked("approval"))


@ROWS.unsafe("A service's token directs a step", stops=Stop.TOKEN, way_out=A_PERSON)
def service_directs(directory: Path) -> Met:
    with office(directory) as place:
        secret = place.token("service", "read", "propose", name="ci")
        return place.asks(secret, "direct", without_a_runbook(), **DIRECTED)


@ROWS.unsafe(
    "A person's token without the scope `direct` directs a step",
    stops=Stop.TOKEN,
    way_out="An admin makes one that has it",
)
def without_the_scope(directory: Path) -> Met:
    with office(directory) as place:
        secret = place.token("person", "read", "approve")
        return place.asks(secret, "direct", without_a_runbook(), **DIRECTED)


@ROWS.unsafe(
    "An agent's token is to be made with the scope `approve`",
    stops=Stop.TOKEN,
    way_out="Give it `propose`: a person approves",
)
def agent_with_a_person_s_scope(directory: Path) -> Met:
    with office(directory) as place:
        return Met(said=place.refuses(None, lambda _: place.token("agent", "approve")))


@ROWS.unsafe("A token that expired", stops=Stop.TOKEN, way_out="An admin makes a new one")
def expired_token(directory: Path) -> Met:
    with office(directory) as place:
        secret = place.token("person", "direct")
        place.clock.jump(timedelta(days=2))
        return place.asks(secret, "direct", without_a_runbook(), **DIRECTED)


@ROWS.unsafe(
    "A token that was revoked after the request was sent, and before it is carried out",
    stops=Stop.TOKEN,
    way_out="An admin makes a new one",
)
def revoked_token(directory: Path) -> Met:
    with office(directory) as place:
        secret, token_id = place.made("person", "direct")
        place.revoke(token_id)
        return place.asks(secret, "direct", without_a_runbook(), **DIRECTED)


@ROWS.unsafe(
    "A token that nobody made",
    stops=Stop.TOKEN,
    way_out="`holdfast token create` makes a good one",
)
def made_up_token(directory: Path) -> Met:
    with office(directory) as place:
        secret = "hf_person_00000000_" + "x" * 43
        return Met(said=place.refuses(secret, lambda desk: desk.thaw("all", "it is over")))


@ROWS.unsafe(
    "The same `--idempotency-key` with another directive",
    stops=Stop.REQUEST,
    way_out="Give each request a key of its own",
)
def same_key_other_words(directory: Path) -> Met:
    with office(directory) as place:
        place.incident()
        secret = place.token("person", "direct")
        again = {**DIRECTED, "target": "shop-db"}
        place.refuses(secret, lambda desk: desk.ask("INC-1", "direct", DIRECTED, key="k-1"))
        said = place.refuses(secret, lambda desk: desk.ask("INC-1", "direct", again, key="k-1"))
        asked = place.desk.ledger.requests("INC-1")
        return Met(said=said, done=len(asked) - 1)
