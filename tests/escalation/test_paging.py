from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.escalation import Page, PageDecision, PageReason, decide_page

NOW = datetime(2030, 1, 1, tzinfo=UTC)
ACK_TIMEOUT_S = 300.0


def page(level: int, ago_s: float, *, delivered: bool = True) -> Page:
    return Page(level=level, sent_at=NOW - timedelta(seconds=ago_s), delivered=delivered)


def decide(
    *pages: Page,
    phase: str = "diagnosing",
    held: bool = True,
    escalated: bool = False,
    acknowledged: bool = False,
    levels: int = 3,
) -> PageDecision:
    return decide_page(
        pages,
        phase=phase,
        held=held,
        escalated=escalated,
        acknowledged=acknowledged,
        now=NOW,
        ack_timeout_s=ACK_TIMEOUT_S,
        levels=levels,
    )


def test_a_held_or_escalated_incident_pages_at_once() -> None:
    assert decide() == PageDecision(reason=PageReason.FIRST, level=1)
    assert decide(held=False, escalated=True).should_page


def test_an_incident_that_asks_for_nobody_pages_nobody() -> None:
    assert decide(held=False).reason is PageReason.NOT_NEEDED


@pytest.mark.parametrize("phase", ["dismissed", "merged", "resolved", "closed"])
def test_an_incident_that_is_over_pages_nobody_even_when_it_is_escalated(phase: str) -> None:
    assert not decide(phase=phase, escalated=True).should_page
    assert not decide(page(1, 9999), phase=phase, escalated=True).should_page


def test_an_unanswered_page_goes_to_the_next_level_when_the_timeout_ends() -> None:
    assert decide(page(1, 299)).reason is PageReason.WAITING
    assert decide(page(1, 300)) == PageDecision(reason=PageReason.ACK_TIMED_OUT, level=2)


def test_a_level_is_never_paged_twice() -> None:
    assert decide(page(1, 900), page(2, 10)).reason is PageReason.WAITING
    assert decide(page(1, 900), page(2, 300)).level == 3


def test_a_page_that_did_not_arrive_goes_to_the_next_level_at_once() -> None:
    decision = decide(page(1, 1, delivered=False))

    assert (decision.reason, decision.level) == (PageReason.UNDELIVERED, 2)


def test_a_page_that_arrived_by_one_way_has_arrived() -> None:
    assert decide(page(1, 2), page(1, 1, delivered=False)).reason is PageReason.WAITING


def test_an_answered_page_never_escalates() -> None:
    assert decide(page(1, 9999), acknowledged=True).reason is PageReason.ANSWERED


def test_after_the_last_level_nobody_is_left_and_it_says_so() -> None:
    decision = decide(page(3, 9999))

    assert (decision.reason, decision.should_page) == (PageReason.NOBODY_LEFT, False)
    assert decide(page(1, 9999), levels=1).reason is PageReason.NOBODY_LEFT


@settings(derandomize=True, max_examples=200, deadline=None)
@given(
    pauses_s=st.lists(st.integers(0, 700), max_size=30),
    levels=st.integers(1, 4),
    delivered=st.booleans(),
)
def test_however_often_it_is_asked_each_level_is_paged_once(
    pauses_s: list[int], levels: int, *, delivered: bool
) -> None:
    now = NOW
    pages: list[Page] = []
    for pause_s in pauses_s:
        now += timedelta(seconds=pause_s)
        decision = decide_page(
            pages,
            phase="planned",
            held=True,
            escalated=False,
            acknowledged=False,
            now=now,
            ack_timeout_s=ACK_TIMEOUT_S,
            levels=levels,
        )
        if decision.should_page:
            pages.append(Page(level=decision.level, sent_at=now, delivered=delivered))

    assert [sent.level for sent in pages] == list(range(1, len(pages) + 1))
    assert len(pages) <= levels
