"""The `_system` chain as a fold: freezes, modes, overrides and tokens."""

from datetime import UTC, datetime
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from holdfast.incident import Record
from holdfast.incident.system import (
    FROZEN,
    MODE_CLEARED,
    MODE_SET,
    OVERRIDE_GRANTED,
    REFUSED,
    THAWED,
    TOKEN_CREATED,
    TOKEN_REVOKED,
    SystemState,
    fold_system,
)
from holdfast.kernel import format_at
from tests.scene import DANA

AT = datetime(2030, 1, 1, tzinfo=UTC)
TOKEN = {
    "token_id": "t-1",
    "name": "dana",
    "kind": "person",
    "scopes": ["read", "direct"],
    "digest": "ab" * 32,
    "expires_at": format_at(AT),
    "on_behalf_of": None,
}
EVENTS: tuple[tuple[str, dict[str, Any]], ...] = (
    (FROZEN, {"scope": "all", "because": "release week"}),
    (FROZEN, {"scope": "service:shop", "because": "an audit"}),
    (THAWED, {"scope": "all", "because": "over"}),
    (THAWED, {"scope": "region:east", "because": "was never frozen"}),
    (TOKEN_CREATED, TOKEN),
    (TOKEN_REVOKED, {"token_id": "t-1", "because": "left"}),
    (TOKEN_REVOKED, {"token_id": "t-9", "because": "unknown"}),
    (REFUSED, {"what": "approve", "scope": "approve", "token_id": "t-1"}),
    ("from_the_future", {"x": 1}),
    (MODE_SET, {"scope": "all", "mode": "observe", "because": "an audit"}),
    (MODE_SET, {"scope": "service:shop", "mode": "guided", "because": "a migration"}),
    (MODE_SET, {"scope": "all", "mode": "supervised", "because": "the audit went well"}),
    (MODE_CLEARED, {"scope": "all", "because": "over"}),
    (MODE_CLEARED, {"scope": "incident:INC-9", "because": "was never set"}),
    (
        OVERRIDE_GRANTED,
        {
            "override_id": "3fa9",
            "incident_id": "INC-1",
            "limit": "cooldown",
            "target": None,
            "because": "x",
            "expires_at": format_at(AT),
        },
    ),
)


def chain(*events: tuple[str, dict[str, Any]]) -> list[Record]:
    return [
        Record(incident_id="_system", seq=n, kind=kind, at=AT, actor=DANA, data=data)
        for n, (kind, data) in enumerate(events, start=1)
    ]


def test_a_freeze_says_who_why_and_since_when_until_it_is_thawed() -> None:
    state = fold_system(chain(EVENTS[0], EVENTS[1]))
    freeze = state.freezes["all"]

    assert (freeze.by, freeze.why, freeze.since) == ("dana", "release week", AT)
    assert set(fold_system(chain(*EVENTS[:3])).freezes) == {"service:shop"}


def test_a_set_mode_says_who_and_why_until_another_is_set_or_it_is_taken_back() -> None:
    mode = fold_system(chain(EVENTS[9])).modes["all"]

    assert (mode.mode, mode.by, mode.why, mode.since) == ("observe", "dana", "an audit", AT)
    again = fold_system(chain(*EVENTS[9:12])).modes
    assert {name: fact.mode for name, fact in again.items()} == {
        "all": "supervised",
        "service:shop": "guided",
    }
    assert set(fold_system(chain(*EVENTS[9:13])).modes) == {"service:shop"}


def test_an_override_says_which_limit_of_which_incident_and_until_when() -> None:
    override = fold_system(chain(EVENTS[14])).overrides["3fa9"]

    assert (override.incident_id, override.limit, override.target) == ("INC-1", "cooldown", None)
    assert (override.by, override.why, override.expires_at) == ("dana", "x", AT)


def test_a_revoked_token_stays_known_as_revoked() -> None:
    created = fold_system(chain(EVENTS[4]))
    revoked = fold_system(chain(EVENTS[4], EVENTS[5]))

    assert not created.tokens["t-1"].revoked
    assert created.tokens["t-1"].scopes == ("read", "direct")
    assert revoked.tokens["t-1"].revoked


def test_what_is_unknown_counts_and_changes_nothing() -> None:
    state = fold_system(chain(EVENTS[3], EVENTS[6], EVENTS[7], EVENTS[8], EVENTS[13]))

    assert state == SystemState(seq=5)


@given(st.lists(st.sampled_from(EVENTS), max_size=12), st.data())
def test_a_fold_goes_on_from_wherever_it_was_left(
    events: list[tuple[str, dict[str, Any]]], data: st.DataObject
) -> None:
    records = chain(*events)
    cut = data.draw(st.integers(0, len(records)))

    assert fold_system(records[cut:], fold_system(records[:cut])) == fold_system(records)
