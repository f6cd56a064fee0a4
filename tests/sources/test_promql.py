import pytest

from holdfast.sources.promql import fresh, in_region, selectors


@pytest.mark.parametrize(
    ("query", "read"),
    [
        ("mem", ["mem"]),
        ("sum by (code) (rate(n_total[1m]))", ["n_total"]),
        ("sum(rate(n_total[1m])) by (code)", ["n_total"]),
        ('n{code=~"5..}"} / on (job) group_left (x) m offset 5m', ['n{code=~"5..}"}', "m"]),
        ("""a{x='}'} unless ignoring (y) b:c:d # and e""", ["a{x='}'}", "b:c:d"]),
        ('{__name__="x"} > bool 1e-3', ['{__name__="x"}']),
        ("max_over_time(rate(n[1m])[5m:10s] @ end())", ["n"]),
        ("histogram_quantile(0.99, sum(rate(n_bucket[5m])) by (le)) + Inf", ["n_bucket"]),
        ("n + n", ["n"]),
        ("time() - 1h", []),
    ],
)
def test_the_series_that_a_query_reads_are_found(query: str, read: list[str]) -> None:
    assert list(selectors(query)) == read


def test_a_region_is_filled_in_and_means_itself_in_a_pattern_too() -> None:
    query = 'n{region="{region}", zone=~"{region}-.*"}'

    assert in_region(query, "eu.west") == 'n{region="eu.west", zone=~"eu[.]west-.*"}'


def test_a_query_is_asked_together_with_the_question_whether_its_series_are_fresh() -> None:
    assert fresh("a / b # odd", 1.75) == (
        "(a / b # odd\n) and on() "
        "((max(timestamp(a)) > time() - 1.75) or (max(timestamp(b)) > time() - 1.75))"
    )


@pytest.mark.parametrize("query", ["time()", "sum(n) or vector(0)", 'absent(up{job="x"})'])
def test_a_query_that_reads_nothing_or_says_what_absence_means_is_left_alone(query: str) -> None:
    assert fresh(query, 1.0) == query
