import pytest

from holdfast.kernel import canonical_json
from holdfast.kernel.redact import MARK, bounded, first_cause, redact


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("postgresql://app:s3cret@db/orders", "s3cret"),
        ("redis://:s3cret@127.0.0.1:6379/0", "s3cret"),
        ("host=db user=app password=s3cret dbname=x", "s3cret"),
        ('{"api_key": "abc123def"}', "abc123def"),
        ("Authorization: Bearer abcdefgh12345678", "abcdefgh12345678"),
        ("token hf_person_1a2b3c4d_QmFzZTY0VGV4dEhlcmU was used", "QmFzZTY0VGV4dEhlcmU"),
        ("AKIAIOSFODNN7EXAMPLE", "AKIAIOSFODNN7EXAMPLE"),
        ("-----BEGIN PRIVATE KEY-----\nMIIE\n-----END PRIVATE KEY-----", "MIIE"),
        ("-----BEGIN RSA PRIVATE KEY-----\nMIIE, and the rest was cut off", "MIIE"),
        ("jwt-eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.c2ln", "eyJzdWIi"),
    ],
)
def test_what_looks_like_a_credential_is_replaced_by_a_mark(text: str, secret: str) -> None:
    clean = redact(text)
    assert secret not in clean
    assert MARK in clean


def test_ordinary_text_stays_as_it_is() -> None:
    text = "checkout answered 503 in 12 ms: http://127.0.0.1:8080/healthz?x=1"
    assert redact(text) == text


def test_a_long_text_is_cut_and_says_how_much_is_missing() -> None:
    assert bounded("x" * 30, limit=10) == "x" * 10 + "… [20 more characters cut]"


def test_output_that_was_no_utf_8_can_still_be_written_to_the_ledger() -> None:
    raw = b"caf\xe9 down".decode("utf-8", "surrogateescape")
    assert canonical_json({"output": bounded(raw)}) == b'{"output":"caf? down"}'


@pytest.mark.parametrize(
    "piece", ["-a", "token", "-eyJaaaaaaaa", "eyJaaaaaaaa.", "-----BEGIN PRIVATE KEY-----", 'key="']
)
def test_a_text_made_to_be_slow_is_not(piece: str) -> None:
    # Where time grows with the square of the length this takes an hour.
    assert bounded(piece * (200_000 // len(piece)), limit=10)


def test_of_an_error_in_an_error_the_first_cause_is_told_without_its_credential() -> None:
    cause = ConnectionError("refused by amqp://app:s3cret@broker:5672/")
    assert "refused by" in first_cause(RuntimeError(OSError(cause)))
    assert "s3cret" not in first_cause(RuntimeError(OSError(cause)))
    assert first_cause(TimeoutError()) == "TimeoutError"
