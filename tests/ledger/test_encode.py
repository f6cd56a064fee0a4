"""A record's bytes are put together by hand, and are those that every chain so far was hashed over."""

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from holdfast.incident import Record
from holdfast.kernel import canonical_json
from holdfast.kernel.actor import Actor, ActorKind
from holdfast.ledger.encode import body_of, record_of

texts = st.text(st.characters(exclude_categories=["Cs"]))
data = st.dictionaries(
    texts,
    st.recursive(
        st.none() | st.booleans() | st.integers() | texts,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
        max_leaves=8,
    ),
)
actors = st.builds(
    Actor,
    kind=st.sampled_from(ActorKind),
    id=texts,
    on_behalf_of=st.none() | texts,
    token_id=st.none() | texts,
)
records = st.builds(
    Record,
    incident_id=texts,
    seq=st.integers(1),
    kind=texts,
    at=st.datetimes(datetime(1000, 1, 2), datetime(9998, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001 - the zone comes beside
    actor=actors,
    cause=st.none() | st.integers(1),
    data=data,
)


@given(records)
def test_the_bytes_of_a_record_are_its_canonical_ones(record: Record) -> None:
    assert body_of(record) == canonical_json(record.body())


@given(records)
def test_a_record_is_read_back_from_its_bytes(record: Record) -> None:
    assert record_of(record.incident_id, record.seq, body_of(record)) == record
