"""The installation that the tests of `response` decide in: a shop in two regions, its runbooks."""

from holdfast.kernel import Actor, ActorKind, Catalogue, Contact, Service
from holdfast.policy import Grant
from holdfast.response import ActionFacts, Timing, World
from holdfast.response.ports import ActionOutcome, Effect, Health, Repeatability
from holdfast.runbooks import Runbook, parse

INTERVAL_S = 1.0
BAD, GOOD, GAP = 0.31, 0.004, float("nan")
BOT = Actor(kind=ActorKind.AGENT, id="bot", on_behalf_of="dana", token_id="t-2")
NORMAL_CHECKS = {"http_health": Health.HEALTHY}
CRITERION = 'errors{service="shop-api"} <= baseline * 1.2 + 0.02 for 6s in each region'

STEP = """
### {title}

```yaml step
action: {action}
target: {target}
expect:
  - errors{{service="shop-api"}} <= baseline * 1.2 + 0.02 for 6s in each region
retries: {retries}
cooldown: 5s
timeout: 10s
impact: {impact}
```
"""

HEAD = """---
name: {name}
title: Put it right
match:
  incident_type: [{type}]
owner: team
---

# Put it right

## Mitigation
"""


def runbook(
    *targets: str,
    name: str = "roll-back",
    incident_type: str = "high_error_rate",
    impact: str = "low",
    retries: int = 1,
) -> Runbook:
    """Make a runbook with one step for each target."""
    steps = [
        STEP.format(
            title=f"Step {n}",
            action="rollback_deploy" if "@" not in target else "restart_service",
            target=target,
            impact=impact,
            retries=retries,
        )
        for n, target in enumerate(targets, start=1)
    ]
    return parse(HEAD.format(name=name, type=incident_type) + "".join(steps), f"{name}.md")


def world(
    *runbooks: Runbook,
    mode: str = "autonomous",
    kind: Repeatability = Repeatability.IDEMPOTENT,
    least_impact: str = "low",
) -> World:
    services = {
        "shop-api": Service(
            name="shop-api",
            depends_on=("shop-db",),
            owners=("team",),
            on_call="dana",
            regions=("east", "west"),
        ),
        "shop-db": Service(name="shop-db", regions=("east",)),
    }
    contacts = {
        name: Contact(id=name, name=name.title(), page=("webhook",)) for name in ("dana", "team")
    }
    facts = ActionFacts(repeatability=kind, least_impact=least_impact)
    return World(
        catalogue=Catalogue(services=services, contacts=contacts),
        runbooks=runbooks or (runbook("${entity}"),),
        actions={"rollback_deploy": facts, "restart_service": facts},
        mode=mode,
        grants=(Grant(runbook="roll-back", service="shop-api", granted_by="dana"),),
        timing=Timing(
            sampling_interval_s=INTERVAL_S,
            sustain_s=6.0,
            cooldown_s=5.0,
            ack_timeout_s=60.0,
            approval_ttl_s=120.0,
        ),
    )


SUCCEEDED = ActionOutcome(ok=True, effect=Effect.PRESENT, summary="it is at 2.3.9")
NO_EFFECT = ActionOutcome(ok=False, effect=Effect.ABSENT, summary="no room", error_category="full")
NOBODY_KNOWS = ActionOutcome(ok=False, effect=Effect.UNKNOWN, summary="the line went dead")
