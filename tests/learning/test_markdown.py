"""Escaping: what goes in as text comes out of a Markdown reader as the same text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from holdfast.incident.timeline import one_line
from holdfast.learning.markdown import bullets, cite, escape, figure, moment, table

READER = MarkdownIt("gfm-like", {"linkify": False})
markup = st.text(alphabet="ab1 .\\`*_[]<>|&~#$-+=():!/@\n\t\"'{}^", max_size=40)


def read_back(markdown: str) -> tuple[str, set[str]]:
    """Give the text of a document and the types of its inline tokens."""
    text, kinds = [], set()
    for block in READER.parse(markdown):
        for token in block.children or ():
            kinds.add(token.type)
            text.append(token.content)
    return "".join(text), kinds


@given(st.one_of(markup, st.text(max_size=60)))
def test_any_text_in_a_list_reads_as_itself(text: str) -> None:
    shown, kinds = read_back(bullets([f"said: {escape(text)}"], none=""))

    assert shown.strip() == f"said: {one_line(text)}".strip()
    assert kinds <= {"text", "text_special"}


@given(markup)
def test_any_text_at_the_start_of_an_item_reads_as_itself(text: str) -> None:
    shown, kinds = read_back(f"- {escape(text)}\n")

    assert shown == one_line(text)
    assert kinds <= {"text", "text_special"}


@given(markup)
def test_any_text_in_a_table_stays_in_its_cell(text: str) -> None:
    tokens = READER.parse(table(("a", "b"), [(f"x {escape(text)}", "end")]))

    assert sum(token.type == "td_open" for token in tokens) == 2
    cells = [t for t in tokens if t.type == "inline"][-2:]
    shown = "".join(child.content for child in cells[0].children or ())
    assert shown == f"x {one_line(text)}".strip()


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("high_error_rate", "high_error_rate"),
        ("_bold_", r"\_bold\_"),
        ("2.4.0", "2.4.0"),
        ("1. first", r"1\. first"),
        ("- item", r"\- item"),
        ("see http://x.example", r"see http\://x.example"),
        ("www.x.example", r"www\.x.example"),
        (None, "not recorded"),
        (0, "0"),
    ],
)
def test_only_what_would_be_markup_is_escaped(text: object, shown: str) -> None:
    assert escape(text) == shown


def test_citations_name_each_record_once() -> None:
    assert cite(3, 7, 3, None) == " (#3, #7)"
    assert cite(None) == ""


def test_absent_figures_and_moments_say_so() -> None:
    assert figure(None) == "not recorded"
    assert moment(None) == "not recorded"
    assert figure(0.123456) == "0.1235"
    assert figure("a|b") == r"a\|b"
    assert table(("a",), []) == "| a |\n| --- |"
