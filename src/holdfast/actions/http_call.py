"""Sends one request that the configuration names, to where it says, and nowhere else.

No redirect is followed and no proxy of the environment is used. How it can be repeated is declared
with each call: a receiver that takes an idempotency key, a page that shows the effect, or nothing;
then a lost answer is for a person. No URL and no header is ever in a message: either may be secret.
"""

import json
import ssl
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

from holdfast.actions.named_call import Chosen, NamedCalls, fill, without
from holdfast.actions.places import before_acting
from holdfast.actions.planes import compared, predicted
from holdfast.actions.supervisord import Deadline
from holdfast.actions.time_limit import TimeLimit
from holdfast.kernel.canonical import canonical_json
from holdfast.kernel.catalogue import Catalogue
from holdfast.kernel.clock import Clock, SystemClock
from holdfast.kernel.errors import BadInputError
from holdfast.kernel.redact import bounded
from holdfast.response.ports import (
    ActionOutcome,
    ActionRequest,
    Effect,
    LostReplyError,
    ProbeResult,
    Repeatability,
    TargetUnreachableError,
)

if TYPE_CHECKING:
    import httpx2

LOOK_S = 5.0
BODY_BYTES_MAX = 256 * 1024
ANSWER_BYTES_MAX = 64 * 1024
_NOT_FOUND = frozenset({404, 410})
_OK = range(200, 300)
# By these the receiver says that it did not carry the request out (RFC 9110, 15.5; RFC 6585).
_NOT_DONE = frozenset({400, 401, 403, 404, 405, 406, 410, 411, 413, 414, 415, 422, 426, 429, 431})
_SECRET = ("headers",)
_MISSING = object()
_TOO_LONG, _NOT_WHOLE = "… [cut]", "… [not complete]"


class HttpCall:
    """Send the request `call` of `actions.http`. Parameters: `call`, and `values`."""

    name = "http"
    least_impact = "high"

    def __init__(
        self,
        catalogue: Catalogue,
        calls: Mapping[str, Mapping[str, Any]],
        *,
        clock: Clock | None = None,
    ) -> None:
        self._calls = calls
        self._named = NamedCalls(
            catalogue=catalogue,
            action=self.name,
            section="actions.http",
            calls=calls,
            secret=_SECRET,
            done="sent",
        )
        self._clock = clock or SystemClock()

    @property
    def repeatability(self) -> Repeatability:
        """Say the best that any call has; the pre-image says what its call has."""
        kinds = {_kind(call) for call in self._calls.values()}
        return next((kind for kind in Repeatability if kind in kinds), Repeatability.NONE)

    def observe(self, target: str, params: Mapping[str, Any]) -> Mapping[str, Any]:
        chosen = self._named.choose(target, params)
        call, values = chosen.call, {"incident": "later", **chosen.values}
        # Every place must have a value, and the incident's is known later.
        _rendered(call, values)
        seen = {
            "instance": target,
            "call": chosen.name,
            "method": call["method"],
            "host": _host(call["url"]),
            "digest": chosen.digest,
            "undo_digest": chosen.undo_digest,
            "repeatability": _kind(call).value,
            "reversible": f"call {call['undo']}" if call.get("undo") else "no: no call undoes it",
            "reachable": True,
            "planes": [predicted(_plane(chosen), now="not looked at", intended=_intended(call))],
        }
        if not call.get("probe"):
            return seen
        found = self._probed(call, values, LOOK_S)
        plane = predicted(_plane(chosen), now=found.evidence, intended=_intended(call))
        before = {"before": found.effect.value, "before_evidence": found.evidence}
        return {**seen, **before, "planes": [plane]}

    def perform(self, request: ActionRequest) -> ActionOutcome:
        chosen = self._named.to_perform(request)
        if isinstance(chosen, ActionOutcome):
            return chosen
        return self._sent(chosen, request.idempotency_key, request.timeout_s)

    def probe(self, request: ActionRequest) -> ProbeResult:
        chosen = self._named.to_probe(request)
        if isinstance(chosen, ProbeResult):
            return chosen
        data: dict[str, Any] = {}
        if chosen.call.get("probe"):
            found = self._probed(chosen.call, chosen.values, LOOK_S)
            data = _seen(chosen, found)
            was_there = request.pre_image.get("before") == Effect.PRESENT.value
            if not was_there or found.effect is not Effect.PRESENT:
                return replace(found, data=data)
            text = f"{found.evidence}, but so it did before; whose effect that is can't be told"
        else:
            text = f"no probe is written for {chosen.name}"
        if _kind(chosen.call) is Repeatability.IDEMPOTENT:
            # Asking with the key once more is the look: the receiver does it once.
            text = f"{text}; its receiver answers a key that it knows as it did the first time"
            return ProbeResult(effect=Effect.ABSENT, evidence=text, data=data)
        return ProbeResult(effect=Effect.UNKNOWN, evidence=text, data=data)

    def undo(self, request: ActionRequest) -> ActionOutcome:
        back = self._named.to_undo(request, lambda it: self._probed(it.call, it.values, LOOK_S))
        if isinstance(back, ActionOutcome):
            return back
        return self._sent(back, f"{request.idempotency_key}/undo", request.timeout_s)

    def _sent(self, chosen: Chosen, key: str, timeout_s: float) -> ActionOutcome:
        call = chosen.call
        with before_acting():
            url, body = _rendered(call, chosen.values)
        headers = dict(call.get("headers") or {})
        if header := call.get("idempotency_header"):
            headers[header] = key
        if body is not None:
            headers.setdefault("Content-Type", "application/json")
        what = f"{chosen.name} ({call['method']} to {_host(call['url'])})"
        status, text = self._exchanged(
            what, call["method"], url, headers, body, timeout_s, call.get("ca_file")
        )
        output = without(text, call.get("headers") or {})
        if status in call["expect_status"]:
            return ActionOutcome(
                ok=True,
                effect=Effect.PRESENT,
                summary=f"{what} answered {status}",
                return_code=status,
                output=output,
            )
        expected = ", ".join(map(str, call["expect_status"]))
        return ActionOutcome(
            ok=False,
            effect=Effect.ABSENT if status in _NOT_DONE else Effect.UNKNOWN,
            summary=f"{what} answered {status}, not {expected}",
            return_code=status,
            error_category="unexpected_status",
            output=output,
        )

    def _probed(
        self, call: Mapping[str, Any], values: Mapping[str, str], timeout_s: float
    ) -> ProbeResult:
        look, host = call["probe"], _host(call["probe"]["url"])
        url = fill(look["url"], values, _encoded)
        headers = dict(call.get("headers") or {}) if host == _host(call["url"]) else {}
        try:
            status, text = self._exchanged(
                f"the probe of {host}", "GET", url, headers, None, timeout_s, call.get("ca_file")
            )
        except (TargetUnreachableError, LostReplyError) as error:
            return ProbeResult(effect=Effect.UNKNOWN, evidence=error.message)
        what = f"{host} answered {status}"
        if status in look["expect_status"]:
            if look.get("holds") and text.endswith((_TOO_LONG, _NOT_WHOLE)):
                text = f"{what}, and not all of its answer came"
                return ProbeResult(effect=Effect.UNKNOWN, evidence=text)
            wrong = _differing(text, look.get("holds") or {})
            if wrong is None:
                return ProbeResult(effect=Effect.PRESENT, evidence=f"{what} as expected")
            return ProbeResult(effect=Effect.ABSENT, evidence=f"{what}, and {wrong}")
        if status in _NOT_FOUND or status in _OK:
            return ProbeResult(effect=Effect.ABSENT, evidence=f"{what}, which is not as expected")
        return ProbeResult(effect=Effect.UNKNOWN, evidence=f"{what}, which tells nothing")

    def _exchanged(
        self,
        what: str,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: bytes | None,
        timeout_s: float,
        ca_file: str | None,
    ) -> tuple[int, str]:
        """Send one request and read a bounded answer."""
        import httpx2  # noqa: PLC0415 - half of a command's start-up time

        deadline = Deadline.after(self._clock, timeout_s)
        # Not compressed, so that a short answer can't become a long one here.
        sent = {**headers, "Accept-Encoding": "identity"}
        trusted = _trusted(what, url, ca_file)
        limit = TimeLimit(timeout_s)
        try:
            with (
                limit,
                httpx2.Client(timeout=timeout_s, trust_env=False, verify=trusted) as client,
                client.stream(
                    method,
                    url,
                    headers=sent,
                    content=body,
                    follow_redirects=False,
                    extensions=limit.extensions,
                ) as response,
            ):
                return response.status_code, _read(response, deadline, limit)
        except (
            httpx2.ConnectError,
            httpx2.ConnectTimeout,
            httpx2.UnsupportedProtocol,
            httpx2.InvalidURL,
        ) as error:
            why = bounded(str(error) or type(error).__name__, limit=200)
            raise TargetUnreachableError(
                f"{what}: not connected: {why}; nothing was sent"
            ) from None
        except (httpx2.HTTPError, OSError) as error:
            # From None: the driver's own error holds the URL.
            why = f"none within {timeout_s:g} s" if limit.over else type(error).__name__
            text = f"{what} was sent, but no usable answer came back: {why}"
            raise LostReplyError(text) from None


def _plane(chosen: Chosen) -> str:
    return f"http {_host(chosen.call['url'])} {chosen.name}"


def _intended(call: Mapping[str, Any]) -> str:
    return "as its probe expects" if call.get("probe") else f"answered {call['method']}"


def _seen(chosen: Chosen, found: ProbeResult) -> dict[str, Any]:
    """Give the plane as the probe saw it, and nothing where it saw nothing."""
    if found.effect is Effect.UNKNOWN:
        return {}
    reached = found.effect is Effect.PRESENT
    intended = _intended(chosen.call)
    return {
        "planes": [compared(_plane(chosen), now=found.evidence, intended=intended, reached=reached)]
    }


def _kind(call: Mapping[str, Any]) -> Repeatability:
    if call.get("idempotency_header"):
        return Repeatability.IDEMPOTENT
    return Repeatability.PROBEABLE if call.get("probe") else Repeatability.NONE


def _trusted(what: str, url: str, ca_file: str | None) -> "ssl.SSLContext | bool":
    if not url.startswith("https:"):
        return False  # no certificates to load, which costs more than the request
    try:
        return ssl.create_default_context(cafile=ca_file) if ca_file else True
    except OSError as error:
        text = f"{what}: ca_file can't be used: {error}; nothing was sent"
        raise TargetUnreachableError(text) from error


def _rendered(call: Mapping[str, Any], values: Mapping[str, str]) -> tuple[str, bytes | None]:
    url = fill(call["url"], values, _encoded)
    if call.get("body") is None:
        return url, None
    body = canonical_json(_filled(call["body"], values))
    if len(body) > BODY_BYTES_MAX:
        raise BadInputError(
            f"the body is {len(body)} bytes long; write at most {BODY_BYTES_MAX}",
            field="params.call",
        )
    return url, body


def _filled(value: object, values: Mapping[str, str]) -> object:
    """Fill in the texts of a body; they stay texts."""
    if isinstance(value, str):
        return fill(value, values)
    if isinstance(value, list):
        return [_filled(each, values) for each in value]
    if isinstance(value, dict):
        return {key: _filled(each, values) for key, each in value.items()}
    return value


def _encoded(value: str) -> str:
    return quote(value, safe="")


def _host(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.hostname}:{parts.port}" if parts.port else str(parts.hostname)


def _read(response: "httpx2.Response", deadline: Deadline, limit: TimeLimit) -> str:
    """Read an answer whose status is known: that it is cut off takes nothing away from that."""
    import httpx2  # noqa: PLC0415 - as above

    received = bytearray()
    try:
        for chunk in response.iter_raw():
            received += chunk
            if len(received) > ANSWER_BYTES_MAX:
                return received[:ANSWER_BYTES_MAX].decode("utf-8", "replace") + _TOO_LONG
            deadline.left_s()
    except (TimeoutError, httpx2.TransportError):
        return received.decode("utf-8", "replace") + _NOT_WHOLE
    # An answer without a length looks whole when it is cut off by us.
    return received.decode("utf-8", "replace") + (_NOT_WHOLE if limit.over else "")


def _differing(text: str, holds: Mapping[str, Any]) -> str | None:
    """Say which JSON pointer (RFC 6901) has another value than expected, or None."""
    if not holds:
        return None
    try:
        document = json.loads(text)
    except ValueError:
        return "its answer is no JSON"
    for pointer, expected in holds.items():
        found = _pointed(document, pointer)
        if found is _MISSING:
            return f"{pointer} is not there"
        if type(found) is not type(expected) or found != expected:
            return f"{pointer} is {bounded(repr(found), limit=80)}, not {expected!r}"
    return None


def _pointed(document: object, pointer: str) -> object:
    here = document
    for part in pointer.split("/")[1:]:
        name = part.replace("~1", "/").replace("~0", "~")
        if isinstance(here, dict) and name in here:
            here = here[name]
        elif isinstance(here, list) and name.isdigit() and int(name) < len(here):
            here = here[int(name)]
        else:
            return _MISSING
    return here
