"""Speaks with the Valkey or Redis that is acted on, and always knows whether anything was sent.

Every effect is one Lua script for one page: it checks fence and key and acts in the same breath.
What it remembers lies in the hash `holdfast:memory` of the target itself, where it can't be apart
from what was done. No URL is ever in a message: it may hold a password.
"""

from collections.abc import Callable, Sequence
from importlib.resources import files
from types import ModuleType
from typing import TYPE_CHECKING, Any, Self, cast

from holdfast.actions.places import incident_of
from holdfast.kernel.clock import Clock
from holdfast.kernel.errors import BadInputError, HoldfastError
from holdfast.kernel.redact import bounded
from holdfast.response.ports import (
    ActionRequest,
    Effect,
    LostReplyError,
    ProbeResult,
    TargetUnreachableError,
)

if TYPE_CHECKING:
    import valkey

MEMORY = "holdfast:memory"


class SaidNoError(HoldfastError):
    """The server answered that it did not run the script at all."""


class ValkeyTarget:
    """One connection, opened by `with`. Nothing is ever sent twice by the driver."""

    def __init__(self, url: str, clock: Clock, timeout_s: float) -> None:
        self._url = url
        self._clock = clock
        self._until = clock.monotonic() + timeout_s
        self._timeout_s = timeout_s
        self._client: valkey.Valkey | None = None
        self.info: dict[str, Any] = {}

    def __enter__(self) -> Self:
        module = _valkey()
        try:
            self._client = module.Valkey.from_url(
                self._url,
                socket_timeout=self._timeout_s,
                socket_connect_timeout=self._timeout_s,
                single_connection_client=True,
            )
            for section in ("server", "memory"):
                self.info |= cast("dict[str, Any]", self.client.info(section))
        except (module.ValkeyError, OSError, ValueError) as error:
            self.__exit__()
            raise TargetUnreachableError(
                f"the server can't be used: {_words(error)}; nothing was sent"
            ) from error
        return self

    def __exit__(self, *_: object) -> None:
        if self._client is not None:
            self._client.close()  # type: ignore[no-untyped-call]  # the driver has no type for it

    @property
    def client(self) -> "valkey.Valkey":
        assert self._client is not None  # noqa: S101 - used inside the `with` only
        return self._client

    @property
    def run_id(self) -> str:
        return str(self.info["run_id"])

    def forgets(self) -> str | None:
        """Say why the server may lose what is remembered in it, or None."""
        policy = str(self.info.get("maxmemory_policy", "noeviction"))
        if int(self.info.get("maxmemory", 0)) and policy.startswith("allkeys"):
            return f"maxmemory-policy is {policy}, which may throw out any key"
        return None

    def remembered(self, key: str) -> tuple[str, int] | None:
        """Read what is known of a key: `begun` or `done`, and a count."""
        value = self.read(lambda client: client.hget(MEMORY, key_field(key)))
        if value is None:
            return None
        state, _, count = cast("bytes", value).decode().partition(":")
        return state, int(count or 0)

    def read(self, look: Callable[["valkey.Valkey"], Any]) -> Any:  # noqa: ANN401 - what the driver gives
        """Look at something. Raises TargetUnreachableError: a look has no effect."""
        module = _valkey()
        try:
            return look(self.client)
        except (module.ValkeyError, OSError) as error:
            raise TargetUnreachableError(
                f"the server did not answer a question: {_words(error)}"
            ) from error

    def run(self, script: str, keys: Sequence[str], arguments: Sequence[str | int]) -> list[Any]:
        """Run a script once. Raises SaidNoError when it certainly did nothing, LostReplyError."""
        module = _valkey()
        text = files("holdfast.actions").joinpath(f"scripts/{script}.lua").read_text("utf-8")
        if self._clock.monotonic() >= self._until:
            raise SaidNoError(f"{self._timeout_s:g} s are over")
        try:
            answer = cast("Any", self.client.eval(text, len(keys), *keys, *map(str, arguments)))
        except (
            module.exceptions.OutOfMemoryError,
            module.exceptions.ReadOnlyError,
            module.BusyLoadingError,
        ) as error:
            # Each is raised by the first write of a script, if not before it.
            raise SaidNoError(f"the server refused it: {_words(error)}") from error
        except (module.ValkeyError, OSError) as error:
            raise LostReplyError(
                f"the script was sent, but no usable answer came back: {_words(error)}"
            ) from error
        return [each.decode() if isinstance(each, bytes) else each for each in answer]


def probe(
    url: str, clock: Clock, request: ActionRequest, done: str, timeout_s: float
) -> ProbeResult:
    """Ask what the target remembers of an attempt, and seal the fence of the one who asks.

    `done` says what the count means.
    """
    run_id = str(request.pre_image.get("run_id"))
    try:
        with ValkeyTarget(url, clock, timeout_s) as server:
            arguments: list[str | int] = [run_id, *tokens(request.target, request)]
            same_server, sealed, known = server.run("seal_and_look", [MEMORY], arguments)
    except (TargetUnreachableError, SaidNoError, LostReplyError) as error:
        return ProbeResult(effect=Effect.UNKNOWN, evidence=error.message)
    state, _, count = str(known).partition(":")
    if state == "done":
        text = f"the server remembers it: {count} {done}"
        return ProbeResult(effect=Effect.PRESENT, evidence=text, data={"count": int(count)})
    if not same_server:
        text = "the server was restarted since it was looked at, and may have forgotten"
        return ProbeResult(effect=Effect.UNKNOWN, evidence=text)
    if not sealed:
        text = "the server is too full to take the token that keeps a late worker out"
        return ProbeResult(effect=Effect.UNKNOWN, evidence=text)
    if not state:
        text = "the server does not know this attempt"
        return ProbeResult(effect=Effect.ABSENT, evidence=text)
    text = f"it stopped in the middle: {count} {done}; a repeat goes on to the end"
    return ProbeResult(effect=Effect.ABSENT, evidence=text, data={"count": int(count)})


def key_field(key: str) -> str:
    """Name the field that remembers a key."""
    return f"key:{key}"


def tokens(target: str, request: ActionRequest, key: str | None = None) -> tuple[str, int, str]:
    """Give fence field, fence and key field, as every script takes them."""
    key = key or request.idempotency_key
    return f"fence:{target}:{incident_of(key)}", request.fence, key_field(key)


def require_driver(action: str, field: str) -> None:
    """Raise BadInputError that names the setting whose driver is missing."""
    try:
        _valkey()
    except ImportError as error:
        raise BadInputError(
            f"{action}: {field} is set, but valkey is not installed;"
            " install it with: pip install 'holdfast[redis]'",
            field=field,
        ) from error


def _valkey() -> ModuleType:
    import valkey  # noqa: PLC0415 - an extra

    return valkey


def _words(error: BaseException) -> str:
    # A driver's words may hold the address, but never the password; redacted all the same.
    return bounded(" ".join(str(error).split()) or type(error).__name__, limit=300)
