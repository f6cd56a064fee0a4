"""The postmortem: every sentence from a record, nothing invented, no data as markup."""

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any

import pytest

from holdfast.incident import Kind, Record, line
from holdfast.kernel import BadInputError, format_at
from holdfast.learning import postmortem
from holdfast.learning.markdown import escape
from holdfast.runbooks import parse
from tests.scene import DANA, Scene, checked, opened, signal
from tests.scenes import SCENES, bad_deploy, every_kind, merged, no_runbook, rough_ride

SECTIONS = [
    "Summary",
    "Impact",
    "Detection",
    "Diagnosis",
    "Response",
    "Times",
    "What went well",
    "What went badly",
    "Runbook to improve",
    "Action items",
    "Timeline",
    "Ledger",
]


def chain(records: Sequence[Record], **more: object) -> dict[str, Any]:
    whole = {
        "ok": True,
        "records": len(records),
        "head_hash": "ab" * 32,
        "first_bad_seq": None,
        "problem": None,
        "signed_up_to_seq": None,
    }
    return {**whole, **more}


def written(records: Sequence[Record], **more: object) -> str:
    return postmortem(records, chain(records, **more))


def section(text: str, title: str) -> str:
    return text.split(f"\n## {title}\n", 1)[1].split("\n## ", 1)[0].strip()


@pytest.mark.parametrize("play", SCENES)
def test_every_postmortem_has_all_sections_in_order(play: Callable[[], list[Record]]) -> None:
    text = written(play())

    assert re.findall(r"^## (.+)$", text, re.MULTILINE)[:5] == SECTIONS[:5]
    assert [text.index(f"\n## {title}\n") for title in SECTIONS] == sorted(
        text.index(f"\n## {title}\n") for title in SECTIONS
    )


@pytest.mark.parametrize("play", SCENES)
def test_the_timeline_has_every_record_with_its_number(play: Callable[[], list[Record]]) -> None:
    records = play()
    rows = section(written(records), "Timeline").splitlines()[2:]

    assert len(rows) == len(records)
    for record, row in zip(records, rows, strict=True):
        assert row.startswith(f"| #{record.seq} | ")
        assert row.endswith(f"| {escape(line(record))} |")


@pytest.mark.parametrize("play", SCENES)
def test_every_record_that_is_cited_exists(play: Callable[[], list[Record]]) -> None:
    records = play()
    cited = {int(number) for number in re.findall(r"#(\d+)", written(records))}

    assert cited <= {record.seq for record in records}


@pytest.mark.parametrize("play", SCENES)
def test_every_sentence_about_what_went_well_or_badly_cites_a_record(
    play: Callable[[], list[Record]],
) -> None:
    text = written(play())
    for title in ("What went well", "What went badly", "Action items"):
        items = [item for item in section(text, title).splitlines() if item.startswith("- ")]
        assert all(re.search(r"\(#\d+(, #\d+)*\)$", item) for item in items), items


def test_the_summary_tells_it_in_a_few_sentences_with_their_records() -> None:
    assert section(written(bad_deploy()), "Summary").splitlines()[0] == (
        "Found 3.0 s after it began (#1). Inferred cause: release of shop-api, likely (#4). "
        "Done: rollback_deploy on shop-api, succeeded (#8). Recovered 20.0 s after it began (#12)."
    )
    assert (
        section(written(rough_ride()), "Summary")
        .splitlines()[0]
        .endswith(
            "Done: rollback_deploy on shop-api, failed (#8). "
            "Done: rollback_deploy on shop-api, settled as happened (#15)."
        )
    )


def test_a_long_reason_is_short_in_the_summary_and_whole_in_the_timeline() -> None:
    scene = Scene()
    opened(scene)
    why = "held in the east; " * 20
    scene.add(Kind.DISMISSED, {"why": why}, actor=DANA)
    text = written(scene.records)
    (told,) = [row for row in section(text, "Summary").splitlines() if row.startswith("- ")]

    assert told.endswith("… (#2)")
    assert len(told) < 260
    assert why.strip() in section(text, "Timeline")


def test_the_impact_says_which_series_how_far_and_for_how_long() -> None:
    rows = section(written(bad_deploy()), "Impact")

    assert (
        "| errors of shop-api in east | critical | 0 to 0.02 | 0.42 (21.0 times the upper bound) "
        "| 10.0 s | #1, #9 |" in rows
    )


def test_an_end_that_nobody_saw_is_not_recorded() -> None:
    rows = section(written(no_runbook()), "Impact").splitlines()[2:4]

    assert all("| not recorded | #1 |" in row for row in rows)


def test_a_drop_below_the_range_is_told_without_a_factor() -> None:
    scene = Scene()
    low = signal("east", name="traffic", value=1.0, expected=20.0, low=15.0, high=25.0)
    opened(scene, signals=[low], baselines={})

    assert "| 15 to 25 | 1 |" in section(written(scene.records), "Impact")


def test_times_are_measured_from_the_records_and_absent_ones_say_so() -> None:
    times = section(written(bad_deploy()), "Times")

    assert "| To detect | 3.0 s |" in times
    assert "| To act | 6.0 s |" in times
    assert "| To recover | 20.0 s |" in times
    assert "| To acknowledge | not recorded |" in times


def test_facts_stand_apart_from_inferences_with_their_ids() -> None:
    told = section(written(bad_deploy()), "Diagnosis")
    facts, inference = told.split("### Inference")

    assert "**E2** 2.4.0 was deployed" in facts
    assert "likely" not in facts
    assert "For it: E2, E1" in inference
    assert "### Rival hypotheses (#4)\n\n- shop-db: database_contention" in inference
    assert "### What was missing (#4)\n\n- check redis_health gave no reading" in inference


def test_each_attempt_is_told_with_who_why_verdict_outcome_and_proof() -> None:
    told = section(written(bad_deploy()), "Response")

    for part in (
        "### S1, attempt 1: rollback_deploy on shop-api",
        "Proposed by holdfast (system); it is step 1 of the plan",
        "The guard's verdict: allow. cooldown is over (reading 41 s, threshold 30 s)",
        "Before it: current = 2.4.0, to = 2.3.9",
        "Outcome: succeeded; the link points to 2.3.9; return code 0",
        "Verification: met. errors in east held for 6 s",
    ):
        assert part in told


def test_an_attempt_that_failed_is_still_told_after_the_next_one() -> None:
    told = section(written(rough_ride()), "Response")

    assert "### S1, attempt 1" in told
    assert "Outcome: failed; the link could not be moved" in told
    assert "### S1, attempt 2" in told
    assert "Settled by dana: it happened; evidence: ls shows 2.3.9 (#15)" in told


def test_a_directive_gives_the_persons_own_words() -> None:
    told = section(written(every_kind()), "Response")

    assert "Proposed by dana (human); because: once more" in told
    assert "dana did rollback_deploy on shop-api, because: to be sure" in told


def test_what_went_badly_names_failures_doubts_holds_and_blind_checks() -> None:
    badly = section(written(rough_ride()), "What went badly")

    for part in (
        "Attempt 1 of rollback_deploy on shop-api failed (refused). (#8)",
        "needed attempt 2. (#9)",
        "was in doubt: the reply was lost. (#11, #12)",
        "was held for 32.0 s: nobody can tell whether it worked. (#13, #16)",
        "recovery was not proven: not_met. (#17)",
        "Check redis_health gave no reading: no answer in 10 s. (#2)",
        "reported late; kept as evidence only. (#19)",
    ):
        assert part in badly


def test_a_step_with_no_outcome_is_never_told_as_done() -> None:
    records = rough_ride()
    doubt = next(r.seq for r in records if r.kind == Kind.STEP_IN_DOUBT)
    text = written(records[:doubt])

    assert "Outcome: none is recorded, so nobody knows what this attempt did." in text
    assert "has no known outcome to this day" in section(text, "What went badly")
    assert "settle the step" in section(text, "Action items")


def test_no_fitting_runbook_gives_a_skeleton_that_parses_and_acts_on_nothing() -> None:
    advice = section(written(no_runbook()), "Runbook to improve")
    draft = re.search(r"````markdown\n(.*?)````", written(no_runbook()), re.DOTALL)
    assert draft is not None
    runbook = parse(draft.group(1), "draft.md")

    assert "Runbook restart-a-down-service did not fit (the type is not service_down)" in advice
    assert runbook.match.incident_types == ("high_error_rate",)
    assert not runbook.executable


def test_a_good_run_asks_for_no_other_runbook() -> None:
    text = written(bad_deploy())

    assert "Nothing recorded speaks for a change" in section(text, "Runbook to improve")
    assert "````" not in text


def test_a_failed_verification_points_at_the_runbook_and_its_version() -> None:
    advice = section(written(rough_ride()), "Runbook to improve")

    assert "rollback-after-bad-deploy (version 0a1b2c3d4e5f)" in advice
    assert "verification not_met: correct its `expect`, or the step itself. (#17)" in advice


def test_a_refused_precondition_is_named_in_the_advice() -> None:
    advice = section(written(every_kind()), "Runbook to improve")

    assert "a precondition refused rollback_deploy on shop-api: a precondition fails" in advice


@pytest.mark.parametrize("owners", [["team-shop"], {"shop-api": ["team-shop"]}])
def test_action_items_are_boxes_with_the_recorded_owner(owners: object) -> None:
    scene = Scene()
    opened(scene, owners=owners)
    scene.add(Kind.DISMISSED, {"why": "a test"}, actor=DANA)

    assert section(written(scene.records), "Action items") == (
        "- [ ] Look at the thresholds of the series that opened it; owner: team-shop (#2)"
    )


def test_an_owner_that_is_not_recorded_is_not_invented() -> None:
    assert "; owner: not recorded (#" in section(written(rough_ride()), "Action items")


def test_a_chain_that_does_not_verify_is_said_at_the_top_and_at_the_end() -> None:
    text = written(bad_deploy(), ok=False, first_bad_seq=7, problem="record 7 was changed")
    top = text.split("\n## ")[0]

    assert "does not verify: record 7 was changed. Trust nothing below from record 7 on." in top
    assert "does NOT verify" in section(text, "Ledger")


def test_the_ledger_line_gives_head_count_and_the_missing_signature() -> None:
    told = section(written(bad_deploy()), "Ledger")

    assert f"Records: 14; head: `{'ab' * 32}`; no signature covers it." in told
    assert "`holdfast incident verify INC-1`" in told


def test_a_record_of_a_newer_version_is_counted_and_shown() -> None:
    scene = Scene()
    opened(scene)
    scene.unknown()
    text = written(scene.records)

    assert "1 records are of a kind that this version does not know" in section(text, "Ledger")
    assert "from_the_future" in section(text, "Timeline")


def test_a_merged_incident_says_where_it_went_and_that_nothing_was_done() -> None:
    text = written(merged())

    assert "Merged at 2030-01-01 12:00:04.000 UTC: the same release (#2)" in section(
        text, "Summary"
    )
    assert "No step was proposed" in section(text, "Response")
    assert "Type: not recorded." in section(text, "Diagnosis")


@pytest.mark.parametrize("records", [[], [*bad_deploy("INC-1"), *bad_deploy("INC-2")]])
def test_no_records_or_a_mixture_is_bad_input(records: list[Record]) -> None:
    with pytest.raises(BadInputError, match="needs the records of one incident"):
        postmortem(records, {"ok": True})


def test_an_incident_cut_at_any_record_can_still_be_told() -> None:
    for play in SCENES:
        records = play()
        for count in range(1, len(records) + 1):
            assert written(records[:count]).endswith("\n")


HOSTILE = (
    "`x` | <script>alert(1)</script> ![a](http://evil) **b**\n# heading\n- [ ] item\x1b[2J $x$"
)


def _poison(value: Any, key: str = "") -> Any:  # noqa: ANN401 - any JSON value
    """Put hostile text wherever the outside world, a log or a person can put text."""
    free = {"why", "text", "summary", "output", "evidence", "because", "title", "reason", "problem"}
    if isinstance(value, Mapping):
        return {k: _poison(v, k) for k, v in value.items()}
    if isinstance(value, list):
        return [_poison(item) for item in value]
    return HOSTILE if isinstance(value, str) and key in free else value


@pytest.mark.parametrize("play", SCENES)
def test_hostile_text_anywhere_becomes_no_markup(play: Callable[[], list[Record]]) -> None:
    from markdown_it import MarkdownIt

    clean = play()
    hostile = [Record.from_body(r.body() | {"data": _poison(r.data)}) for r in clean]
    text = written(hostile)
    reader = MarkdownIt("gfm-like", {"linkify": False})
    tokens = [t for block in reader.parse(text) for t in (block, *(block.children or ()))]
    headings = [t.content for t in tokens if t.type == "inline" and t.content == "heading"]

    assert "\x1b" not in text
    assert not {t.type for t in tokens} & {"html_block", "html_inline", "image", "link_open"}
    assert not headings
    assert sum(t.type == "tr_open" for t in tokens) == sum(
        t.type == "tr_open" for b in reader.parse(written(clean)) for t in (b, *(b.children or ()))
    )


def test_a_trouble_that_came_back_is_told_and_the_time_between_is_not_counted_as_out() -> None:
    scene = Scene()
    opened(scene)
    checked(scene)

    def seen(region: str, state: str) -> dict[str, Any]:
        return signal(region, state=state, at=format_at(scene.now))

    def over() -> None:
        for region in ("east", "west"):
            data = {"signal": seen(region, "returned"), "baselines": {}}
            scene.add(Kind.SIGNAL_ATTACHED, data, after_s=30)
        scene.add(Kind.RESOLVED, {"why": "back", "by_step": None}, after_s=30)

    over()
    scene.now += timedelta(minutes=5)
    signals = [seen("east", "bad"), seen("west", "returned")]
    scene.add(Kind.REOPENED, {"why": "it is back", "count": 1, "signals": signals})
    checked(scene)
    over()

    text = written(scene.records)
    east, west = section(text, "Impact").splitlines()[2:4]
    assert "| 6.0 s |" in east, "4 s and then 2 s"
    assert "| 34.0 s |" in west
    assert "It came back once after it was taken for resolved (#6)." in section(text, "Summary")
