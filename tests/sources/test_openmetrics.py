from math import inf

import pytest

from holdfast.sources import ScrapeError, parse_metrics
from holdfast.sources.openmetrics import BODY_BYTES_MAX, SAMPLES_MAX

TEXT = rb"""# HELP http_requests_total Requests.
# TYPE http_requests_total counter
http_requests_total{code="200",path="/a\"b\\c\n{x}"} 12 1700000000
http_requests_total{path="/",code="500",} 3 # {trace_id="abc"} 0.5

up 1
queue_age_seconds +Inf
"""


def test_samples_are_read_with_their_labels_escapes_timestamps_and_exemplars() -> None:
    samples = parse_metrics(TEXT)

    assert samples["http_requests_total"] == {
        (("code", "200"), ("path", '/a"b\\c\n{x}')): 12.0,
        (("code", "500"), ("path", "/")): 3.0,
    }
    assert samples["up"] == {(): 1.0}
    assert samples["queue_age_seconds"] == {(): inf}


def test_only_what_is_wanted_is_kept() -> None:
    assert set(parse_metrics(TEXT, wanted=frozenset({"up"}))) == {"up"}


@pytest.mark.parametrize(
    ("body", "content_type", "words"),
    [
        (b"<!doctype html><title>Login</title>", "", "answered HTML, not metrics .*'<!doctype html>.*; point `scrape`"),
        (b"Not found", "text/html; charset=utf-8", "answered HTML"),
        (b"up 1\n{}\n", "", r"a line that is no metric \(line 2: '{}'\); point `scrape`"),
        (b"up one\n", "", r"line 1: 'up one'"),
        (b'up{a="1} 1\n', "", "line 1"),
        (b'{"status": "ok"}', "application/json", "line that is no metric"),
        (b"\xff\xfe\x00", "", "not UTF-8"),
        (b"", "", "no metric at all; check"),
        (b"up 1\n", "application/openmetrics-text; version=1.0.0", "cut off after 5 bytes"),
        (b"x" * (BODY_BYTES_MAX + 1), "", "more than 5 MB; point"),
        (b"up 1\n" * (SAMPLES_MAX + 1), "", "more than 50,000 samples; drop labels"),
    ],
)  # fmt: skip
def test_an_answer_that_is_no_metrics_says_what_it_is_and_what_to_do(
    body: bytes, content_type: str, words: str
) -> None:
    with pytest.raises(ScrapeError, match=words):
        parse_metrics(body, content_type=content_type)


def test_a_whole_openmetrics_answer_ends_with_eof() -> None:
    content_type = "application/openmetrics-text; version=1.0.0; charset=utf-8"

    assert parse_metrics(b"up 1\n# EOF\n", content_type=content_type) == {"up": {(): 1.0}}
