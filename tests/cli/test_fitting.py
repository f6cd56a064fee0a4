"""What a person sees fits the terminal, and nothing is lost or cut through."""

from holdfast.cli.fitting import fitted_line, fitted_table

ROWS = [
    ["INCIDENT", "STATE", "SEVERITY", "OPENED", "TYPE", "CAUSE", "TITLE"],
    [
        "INC-2",
        "diagnosing+held+escalated",
        "critical",
        "2030-01-01 10:00",
        "high_error_rate",
        "checkout-api",
        "errors, latency of checkout-api out of range in eu-west",
    ],
]


def test_a_table_is_as_wide_as_it_needs_where_nobody_looks() -> None:
    lines = list(fitted_table(ROWS, None))
    assert len(lines) == len(ROWS)
    assert lines[1].endswith(ROWS[1][-1])


def test_a_table_fits_the_terminal_and_loses_no_word() -> None:
    for columns in (80, 100, 120, 200):
        lines = list(fitted_table(ROWS, columns))
        assert max(map(len, lines)) <= columns
        words = {word for line in lines for word in line.replace("+", " ").split()}
        assert {word for cell in ROWS[1] for word in cell.replace("+", " ").split()} <= words


def test_what_finds_no_room_beside_its_row_stands_below_it() -> None:
    *_, last = fitted_table(ROWS, 80)
    assert last == "    " + ROWS[1][-1]


def test_a_long_line_goes_on_below_its_text() -> None:
    assert list(
        fitted_line("  warning  pager  no webhook: a page is a line on the console", 44)
    ) == [
        "  warning  pager  no webhook: a page is a",
        "                  line on the console",
    ]
    assert list(fitted_line("  1. " + "word " * 12, 40))[1].startswith("      word")


def test_a_command_is_never_broken_so_that_it_can_be_copied() -> None:
    line = "  holdfast approve INC-1 S1 --hash " + "a" * 64 + " --because TEXT"
    assert list(fitted_line(line, 80)) == [line]
