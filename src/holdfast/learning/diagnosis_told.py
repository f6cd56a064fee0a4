"""The diagnosis as it was recorded: facts first, inferences apart, rivals and gaps named."""

from collections.abc import Iterator, Mapping
from typing import Any

from holdfast.incident import Kind
from holdfast.learning.account import Account
from holdfast.learning.markdown import ABSENT, bullets, cite, escape


def diagnosis(account: Account) -> str:
    """Tell the last diagnosis; earlier ones are in the timeline."""
    parts = [_classified(account)]
    ranked = account.last(Kind.HYPOTHESES_RANKED)
    if ranked is None:
        return "\n\n".join([*parts, f"Evidence and hypotheses are {ABSENT}."])
    data, seq = ranked.data, ranked.seq
    facts = bullets(map(_fact, data["evidence"]), none=f"No fact is recorded.{cite(seq)}")
    found = data["hypotheses"]
    first = bullets(_hypothesis(found[0]), none="") if found else f"None.{cite(seq)}"
    rivals = bullets(map(_rival, found[1:]), none="None was in the list.")
    missing = bullets(map(escape, data["missing_context"]), none="Nothing was named.")
    parts += [
        f"### Facts{cite(seq)}\n\n{facts}",
        f"### Inference{cite(seq)}\n\n{first}",
        f"### Rival hypotheses{cite(seq)}\n\n{rivals}",
        f"### What was missing{cite(seq)}\n\n{missing}",
    ]
    return "\n\n".join(parts)


def _classified(account: Account) -> str:
    record = account.last(Kind.CLASSIFIED)
    if record is None:
        return f"Type: {ABSENT}."
    reasons = "; ".join(escape(r["text"]) for r in record.data.get("reasons", ()))
    return f"Type: {escape(record.data['incident_type'])}: {reasons or ABSENT}{cite(record.seq)}"


def _fact(piece: Mapping[str, Any]) -> str:
    at = piece.get("at")
    read = f"read at {escape(at)}" if at else "time of reading not recorded"
    return (
        f"**{escape(piece['id'])}** {escape(piece['text'])} ({escape(piece.get('class'))}; source "
        f"{escape(piece.get('source'))}; {read})"
    )


def _hypothesis(found: Mapping[str, Any]) -> Iterator[str]:
    region = f" in {escape(found['region'])}" if found.get("region") else ""
    yield (
        f"**{escape(found['entity'])}{region}: {escape(found['mechanism'])}**, "
        f"{escape(found['confidence'])}: {escape(found['text'])}"
    )
    yield (
        f"Score {escape(found['score'])}, margin {escape(found['margin'])}: an order, not a "
        "probability"
    )
    yield f"For it: {_ids(found, 'supports')}"
    yield f"Against it: {_ids(found, 'contradicts')}"
    yield f"Expected but missing: {_ids(found, 'expected_but_missing')}"
    yield f"Next check: {escape(found.get('next_check'))}"


def _rival(found: Mapping[str, Any]) -> str:
    return (
        f"{escape(found['entity'])}: {escape(found['mechanism'])}, {escape(found['confidence'])} "
        f"(score {escape(found['score'])}); for it: {_ids(found, 'supports')}; against it: "
        f"{_ids(found, 'contradicts')}"
    )


def _ids(found: Mapping[str, Any], key: str) -> str:
    return ", ".join(escape(piece) for piece in found.get(key, ())) or "nothing recorded"
