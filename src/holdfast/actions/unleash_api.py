"""Speaks Unleash's admin API about a flag in an environment, and knows whether anything was sent.

The API has no condition on a write: it turns what it is told. So a flag is read again just before,
and its log of events says what happened to it since it was looked at. No redirect is followed, no
proxy of the environment is used, and neither address nor token is ever in a message.
"""

import json
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any
from urllib.parse import quote, urlsplit

from holdfast.actions.named_call import without
from holdfast.actions.time_limit import TimeLimit
from holdfast.kernel.canonical import canonical_json
from holdfast.kernel.errors import HoldfastError
from holdfast.kernel.redact import bounded
from holdfast.response.ports import LostReplyError, TargetUnreachableError

ANSWER_BYTES_MAX = 4 * 1024 * 1024
TURNED_OFF = "feature-environment-disabled"
_OK = range(200, 300)
# By these it says that it did not do it (RFC 9110, 15.5; RFC 6585).
_NOT_DONE = frozenset({400, 401, 403, 404, 405, 409, 410, 413, 415, 422, 426, 429})
_HIDDEN = frozenset({401, 403, 404})
_ELSEWHERE = range(300, 400)


class SaidNoError(HoldfastError):
    """Unleash answered that it did not do it."""


class _MayNotLookError(TargetUnreachableError):
    """Unleash answered that this token may not see it, or that there is no such thing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FlagState:
    """A flag in one environment. `digest` names everything about it but whether it is on."""

    on: bool
    digest: str

    def words(self) -> str:
        return "on" if self.on else "off"


@dataclass(frozen=True, slots=True, kw_only=True)
class FlagEvent:
    """Something that happened to the flag in this environment."""

    number: int
    kind: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Unleash:
    """One environment of one project."""

    url: str
    token: str
    project: str
    environment: str
    ca_file: str | None = None

    @staticmethod
    def of(settings: Mapping[str, Any]) -> "Unleash":
        return Unleash(
            url=str(settings["url"]).rstrip("/"),
            token=str(settings["token"]),
            project=str(settings["project"]),
            environment=str(settings["environment"]),
            ca_file=settings.get("ca_file"),
        )

    def place(self, flag: str) -> str:
        """Name a flag for people."""
        return f"unleash {self.project}/{flag} in {self.environment}"

    def state(self, flag: str, timeout_s: float) -> FlagState:
        """Read a flag. Raises TargetUnreachableError: a look has no effect."""
        document = self._read(f"{self._feature(flag)}", timeout_s)
        found = [
            each
            for each in _listed(document, "environments")
            if each.get("name") == self.environment
        ]
        if not found or not isinstance(found[0].get("enabled"), bool):
            raise TargetUnreachableError(
                f"{self.place(flag)}: Unleash does not say whether it is on; is the environment in"
                " that project?"
            )
        rest = {key: found[0].get(key) for key in ("strategies", "variants") if found[0].get(key)}
        return FlagState(on=found[0]["enabled"], digest=sha256(canonical_json(rest)).hexdigest())

    def events(self, flag: str, timeout_s: float) -> tuple[FlagEvent, ...] | None:
        """List what happened to a flag in this environment; None where that can't be read."""
        try:
            document = self._read(f"events/{_quoted(flag)}", timeout_s)
        except _MayNotLookError:
            return None
        return tuple(
            FlagEvent(number=each["id"], kind=str(each.get("type")))
            for each in _listed(document, "events")
            if each.get("environment") == self.environment and isinstance(each.get("id"), int)
        )

    def turn_off(self, flag: str, timeout_s: float) -> None:
        """Turn a flag off. Raises SaidNoError, LostReplyError, TargetUnreachableError."""
        self._turn(flag, "off", timeout_s)

    def turn_on(self, flag: str, timeout_s: float) -> None:
        """Turn a flag on. Raises as `turn_off` does."""
        self._turn(flag, "on", timeout_s)

    def _turn(self, flag: str, to: str, timeout_s: float) -> None:
        path = f"{self._feature(flag)}/environments/{_quoted(self.environment)}/{to}"
        status, text = self._exchanged("POST", path, timeout_s)
        if status in _OK:
            return
        said = f"{self.place(flag)}: Unleash answered {status}: {_reason(text)}"
        if status in _NOT_DONE or status in _ELSEWHERE:
            raise SaidNoError(said)
        raise LostReplyError(f"{said}; whether it is {to} is unknown")

    def _feature(self, flag: str) -> str:
        return f"projects/{_quoted(self.project)}/features/{_quoted(flag)}"

    def _read(self, path: str, timeout_s: float) -> Mapping[str, Any]:
        try:
            status, text = self._exchanged("GET", path, timeout_s)
        except LostReplyError as error:
            raise TargetUnreachableError(f"Unleash was only asked: {error.message}") from None
        if status not in _OK:
            said = f"Unleash answered {status}: {_reason(text)}"
            if status in _HIDDEN:
                raise _MayNotLookError(f"{said}; is it there, and may this token see it?")
            raise TargetUnreachableError(said)
        try:
            document = json.loads(text)
        except ValueError:
            document = None
        if not isinstance(document, dict):
            raise TargetUnreachableError("Unleash's answer can't be read: it is no JSON object")
        return document

    def _exchanged(self, method: str, path: str, timeout_s: float) -> tuple[int, str]:
        import httpx2  # noqa: PLC0415 - half of a command's start-up time

        limit = TimeLimit(timeout_s)
        headers = {"Authorization": self.token, "Accept-Encoding": "identity"}
        try:
            with (
                limit,
                httpx2.Client(timeout=timeout_s, trust_env=False, verify=self._trusted()) as client,
                client.stream(
                    method,
                    f"{self.url}/api/admin/{path}",
                    headers=headers,
                    follow_redirects=False,
                    extensions=limit.extensions,
                ) as response,
            ):
                received = bytearray()
                for chunk in response.iter_raw():
                    received += chunk[: ANSWER_BYTES_MAX - len(received)]
                if limit.over:
                    raise LostReplyError(f"Unleash's answer was not whole after {timeout_s:g} s")
                text = received.decode("utf-8", "replace")
                return response.status_code, without(text, {"token": self.token})
        except (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.UnsupportedProtocol) as error:
            why = bounded(str(error) or type(error).__name__, limit=200)
            raise TargetUnreachableError(
                f"Unleash can't be reached: {why}; nothing was sent"
            ) from None
        except (httpx2.HTTPError, OSError) as error:
            # From None: the driver's own error holds the URL.
            why = f"none within {timeout_s:g} s" if limit.over else type(error).__name__
            raise LostReplyError(f"Unleash was told, but no usable answer came: {why}") from None

    def _trusted(self) -> ssl.SSLContext | bool:
        if urlsplit(self.url).scheme != "https":
            return False  # no certificates to load, which costs more than the request
        try:
            return ssl.create_default_context(cafile=self.ca_file) if self.ca_file else True
        except OSError as error:
            text = f"unleash.ca_file can't be used: {error}; nothing was sent"
            raise TargetUnreachableError(text) from error


def _quoted(name: str) -> str:
    return quote(name, safe="")


def _listed(document: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    found = document.get(name)
    return [each for each in found if isinstance(each, dict)] if isinstance(found, list) else []


def _reason(text: str) -> str:
    """Take the words out of an answer that says no."""
    try:
        document = json.loads(text)
        details = _listed(document, "details")
        said = str((details[0] if details else document).get("message") or text)
    except (ValueError, AttributeError):
        said = text
    return bounded(" ".join(said.split()) or "nothing", limit=300)
