import hashlib
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.runbooks import RunbookError, parse
from tests.runbooks.runbook_texts import STEP, runbook_text


def error_of(text: str | bytes) -> str:
    with pytest.raises(RunbookError) as caught:
        parse(text, "r.md")
    assert caught.value.message.startswith(f"r.md:{caught.value.line}: ")
    return caught.value.message


def test_a_runbook_is_front_matter_sections_and_steps() -> None:
    text = runbook_text()
    book = parse(text, "books/restart.md")

    assert (book.name, book.title, book.owner) == ("restart", "restart", "team-a")
    assert book.match.incident_types == ("down",)
    assert list(book.sections) == ["Meaning", "Impact", "Diagnosis", "Mitigation"]
    assert book.sections["Impact"] == "Bad."
    assert book.version == hashlib.sha256(text.encode()).hexdigest()[:12]
    assert book.executable


def test_a_step_is_read_with_its_heading_line_and_units() -> None:
    (step,) = parse(runbook_text(), "r.md").steps

    assert (step.title, step.action, step.target) == (
        "Restart it",
        "restart_service",
        "${instance}",
    )
    assert (step.retries, step.cooldown_s, step.timeout_s) == (1, 30.0, 10.0)
    assert (step.impact, step.undo) == ("low", "stop it again")
    assert runbook_text().splitlines()[step.line - 1] == "```yaml step"


def test_a_runbook_without_a_step_is_still_a_runbook() -> None:
    book = parse("---\nname: look\n---\n## Meaning\n\n[more](more.md)\n", "r.md")

    assert not book.executable
    assert [(link.target, link.text, link.line) for link in book.links] == [("more.md", "more", 6)]


def test_other_code_blocks_are_left_alone() -> None:
    text = "---\nname: a\n---\n## Diagnosis\n\n```yaml\naction: nonsense\n```\n\n```\nls\n```\n"
    assert parse(text, "r.md").steps == ()


def test_bytes_with_windows_line_ends_and_a_mark_are_read_alike() -> None:
    text = "\ufeff" + runbook_text().replace("\n", "\r\n")
    assert parse(text.encode(), "r.md").steps[0].target == "${instance}"


def test_words_that_old_yaml_takes_for_booleans_stay_words() -> None:
    step = "action: a\ntarget: t\nparams: {region: no, at: 1:30, n: 3, x: 0.5, b: true}\n"
    book = parse(runbook_text(step=step), "r.md")

    assert book.steps[0].params == {"region": "no", "at": "1:30", "n": 3, "x": 0.5, "b": True}


@pytest.mark.parametrize(
    ("step", "words"),
    [
        ("action: a\ntarget: t\nexpct: x\n", ":25: step 'Restart it': unknown key 'expct'; did you mean 'expect'?"),
        ("target: t\n", "`action` is missing"),
        ("action: a\n", "`target` is missing"),
        ("action: [a]\ntarget: t\n", "`action` is ['a']"),
        ("action: a\ntarget: t\nretries: -1\n", ":25: step 'Restart it': `retries` is -1"),
        ("action: a\ntarget: t\nretries: true\n", "`retries` is True"),
        ("action: a\ntarget: t\ncooldown: soon\n", "'soon' is no duration; write for example 30s"),
        ("action: a\ntarget: t\ntimeout: 0\n", "`timeout` is 0 s; write 0.1 to 3600"),
        ("action: a\ntarget: t\ntimeout: 2h\n", "`timeout` is 7200 s"),
        ("action: a\ntarget: t\nimpact: none\n", "`impact` is 'none'; choose one of low, high"),
        ("action: a\ntarget: t\nwhen: [1]\n", "`when` holds 1"),
        ("action: a\ntarget: t\nparams: [1]\n", "`params` is [1]"),
        ("action: a\naction: b\ntarget: t\n", ":24: step 'Restart it': the key 'action' is there twice"),
        ("action: &x a\ntarget: *x\n", "the anchor &x is not allowed"),
        ("action: a\ntarget: *x\n", "the alias *x is not allowed"),
        ("action: a\n\ttarget: t\n", ":24: step 'Restart it': a tab where YAML wants spaces"),
        ("action: !!python/name:os.system x\ntarget: t\n", "tags are not allowed"),
        ("action: a\ntarget: t\nparams: " + "[" * 40 + "]" * 40 + "\n", "nested deeper than"),
        ("- a\n- b\n", "not a mapping; write `key: value` lines"),
        ("", "is empty; write `key: value` lines"),
        ("1: a\n", "the key 1 is no text"),
        ("action: a: b\n", "mapping values are not allowed"),
        ("action: a\ntarget: t\nparams: {x: " + "9" * 30 + ".0e999}\n", ""),
    ],
)  # fmt: skip
def test_a_bad_step_says_line_fact_value_and_next_step(step: str, words: str) -> None:
    if not words:  # a number too large to be one stays text
        assert isinstance(parse(runbook_text(step=step), "r.md").steps[0].params["x"], str)
        return
    assert words in error_of(runbook_text(step=step))


@pytest.mark.parametrize(
    ("front", "words"),
    [
        ("title: x", "`name` is missing"),
        ("name: a b", "`name` is 'a b'"),
        ("name: x\nonwer: me", ":3: front matter: unknown key 'onwer'; did you mean 'owner'?"),
        ("name: x\nmode: fast", ":3: front matter: `mode` is 'fast'"),
        ("name: x\nmatch: {type: [a]}", "unknown key 'type'"),
        ("name: x\nmatch: {checks: {a: [b]}}", "`checks.a` is ['b']"),
        ("name: x\nservices: {a: b}", "`services` holds"),
        ("name: [", "front matter: "),
    ],
)
def test_a_bad_front_matter_says_line_fact_value_and_next_step(front: str, words: str) -> None:
    assert words in error_of(runbook_text(front=front))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("# only text\n", "r.md:1: no front matter"),
        ("", "r.md:1: no front matter"),
        ("---\nname: a\n", "the front matter never ends"),
        (b"---\nname: a\n---\n\xff\n", "r.md:4: byte 0xff is not UTF-8"),
        ("---\nname: a\n---\n\0\n", "r.md:4: the character '\\x00'"),
        ("---\nname: a\n---\n" + "x" * 1_000_001, "more than 1000000"),
        ("---\nname: a\n---\n```yaml step\naction: a\n```\n", "r.md:4: a step without a heading"),
        ("---\nname: a\n---\n# h\n```yml step\naction: a\n```\n", "mark a step with `yaml step`"),
        ("---\nname: a\n---\n# h\n```yaml steps\naction: a\n```\n", "mark a step with `yaml step`"),
    ],
)
def test_a_text_that_is_no_runbook_says_why(text: str | bytes, words: str) -> None:
    assert words in error_of(text)


def test_two_steps_under_one_heading_are_refused() -> None:
    text = runbook_text() + f"\n```yaml step\n{STEP}```\n"
    assert "a second step under 'Restart it'" in error_of(text)


def test_too_many_steps_are_refused() -> None:
    text = runbook_text() + "".join(f"\n### S{n}\n\n```yaml step\n{STEP}```\n" for n in range(60))
    assert "more than 50 steps" in error_of(text)


@settings(derandomize=True, max_examples=300, deadline=None)
@given(
    st.one_of(
        st.binary(max_size=200),
        st.text(max_size=200).map(lambda t: f"---\nname: a\n{t}\n---\n# h\n"),
        st.text(max_size=200).map(lambda t: runbook_text(step=t + "\n")),
    )
)
def test_any_bytes_are_read_or_refused_with_our_own_error(text: str | bytes) -> None:
    with suppress(RunbookError):  # any other error fails the test
        assert parse(text, "r.md").path == "r.md"
