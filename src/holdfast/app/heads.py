"""Signs the heads of the chains, on a schedule and when an incident ends, and sends them away.

The private key lies in the installation's directory, never in the database. A head is signed only
if its chain goes on from the head that was signed before: a signature on a rewritten chain would
hide what it is there to show. Nothing here is waited for by the engine.
"""

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from holdfast.app.files import write_whole
from holdfast.app.head_outbox import LOCK_NAME, OUTBOX_NAME, HeadOutbox, locked
from holdfast.app.head_receivers import Receiver, ReceiverError, receivers
from holdfast.app.secret_file import key_place, read_or_make, read_secret
from holdfast.incident import Kind, Record
from holdfast.kernel.canonical import canonical_json
from holdfast.kernel.clock import Clock
from holdfast.kernel.errors import BadInputError, HoldfastError, LedgerUnavailableError
from holdfast.ledger.chain import link_hash, verify_chain
from holdfast.ledger.export import read_heads
from holdfast.ledger.heads import (
    HeadSigner,
    PublicKey,
    check_signatures,
    new_private_pem,
    public_keys,
)
from holdfast.response.store import HeadMark, Ledger, SignedHead

if TYPE_CHECKING:  # verifying needs neither settings nor numpy
    from holdfast.app.installation import Installation
    from holdfast.engine.ports import Watcher

KEY_NAME = "heads.key"
PUBLIC_NAME = "heads.pub"
KEY_VARIABLE = "HOLDFAST_HEADS_KEY_FILE"
_ENDED = frozenset({Kind.RESOLVED, Kind.DISMISSED, Kind.MERGED, Kind.CLOSED})
_MOST = 256
_STOP_S = 15.0


def open_signer(directory: Path) -> HeadSigner:
    """Read the private key, or make one; its public key is trusted from then on."""
    place, may_make = key_place(directory, KEY_NAME, KEY_VARIABLE)
    pem = read_or_make(place, new_private_pem) if may_make else read_secret(place)
    signer = HeadSigner(pem, f"the key {place}")
    if signer.public.key_id not in trusted_keys(directory):
        with locked(directory / LOCK_NAME, wait=True):
            trusted = {**trusted_keys(directory), signer.public.key_id: signer.public}
            write_whole(directory / PUBLIC_NAME, "".join(key.pem for key in trusted.values()))
    return signer


def trusted_keys(directory: Path, given: Path | None = None) -> Mapping[str, PublicKey]:
    """Read the public keys that count: the given file's, or those of this installation."""
    path = given or directory / PUBLIC_NAME
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        if given is None:
            return {}
        raise BadInputError(
            f"there is no file {path}; give one that `holdfast heads public-key` wrote"
        ) from None
    except (OSError, UnicodeDecodeError):
        raise BadInputError(
            f"can't read {path} as text; give a file that `holdfast heads public-key` wrote"
        ) from None
    return public_keys(text, str(path))


def kept_heads(path: Path) -> list[SignedHead]:
    """Read exported heads. Raises BadInputError for a file that holds none that can be read."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise BadInputError(
            f"can't read {path}: {error.strerror}; give a file of exported heads"
        ) from None
    except UnicodeDecodeError:
        raise BadInputError(f"{path} is not text; give a file of exported heads") from None
    heads, bad = read_heads(row for row in text.split("\n") if row.strip())
    if bad and not heads:
        raise BadInputError(
            f"{path} holds no signed head; give a file that `heads.export` wrote, such as "
            f"{OUTBOX_NAME} of the installation"
        )
    return heads


def heads_here(directory: Path) -> list[SignedHead]:
    """Read the heads that were signed in this directory; none yet is no error."""
    path = directory / OUTBOX_NAME
    return kept_heads(path) if path.exists() else []


class HeadKeeper:
    """Signs and exports in a thread of its own. `problems` is what a person should look at."""

    def __init__(
        self,
        *,
        directory: Path,
        ledger: Ledger,
        signer: HeadSigner,
        clock: Clock,
        every_s: float,
        to: Sequence[Receiver] = (),
        on_trouble: Callable[[str], None] = lambda _text: None,
        on_notice: Callable[[str], None] = lambda _text: None,
        beside: Callable[[], None] = lambda: None,
    ) -> None:
        self._ledger, self._signer, self._clock = ledger, signer, clock
        self._every_s, self._receivers = every_s, to
        self._on_trouble, self._on_notice, self._beside = on_trouble, on_notice, beside
        self._outbox = HeadOutbox(directory)
        self._keys = {**trusted_keys(directory), signer.public.key_id: signer.public}
        self._found: dict[str, str] = {}
        self._ended: set[str] = set()
        self._refused: set[str] = set()
        self._lock = threading.Lock()
        self._wake, self._stopping = threading.Event(), threading.Event()
        self._thread: threading.Thread | None = None

    # --- the thread -------------------------------------------------------

    def start(self) -> None:
        """Begin; the first round is at once."""
        self._thread = threading.Thread(target=self._run, name="heads", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Sign what is left, and end. What was not delivered is delivered by the next start."""
        self._stopping.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join(timeout=_STOP_S)

    def on_record(self, record: Record) -> None:
        """Sign at once when this record ends its incident."""
        if record.kind in _ENDED:
            with self._lock:
                self._ended.add(record.incident_id)
            self._wake.set()

    @property
    def problems(self) -> Sequence[str]:
        """Say what is wrong now: a rewritten chain, a receiver that does not take heads."""
        with self._lock:
            return list(self._found.values())

    @property
    def rewritten(self) -> Sequence[str]:
        """Say which chains do not go on from the head that was signed."""
        with self._lock:
            return [self._found[name] for name in sorted(self._refused) if name in self._found]

    def _run(self) -> None:
        due = self._clock.monotonic()
        while not self._stopping.is_set():
            self._wake.clear()
            if self._stopping.is_set():  # told between the look and the clearing
                break
            if self._clock.monotonic() >= due:
                due = self._clock.monotonic() + self._every_s
                self.round()
            else:
                self.round_of_ended()
            self._clock.wait(self._wake, max(0.0, due - self._clock.monotonic()))
        self._try("the last heads", self._sign_all)

    def round(self) -> None:
        """Sign every head that moved, deliver, and do what else is due."""
        self._try("the heads", self._sign_all)
        self._deliver()
        self._try("the outbox", self._shorten)
        self._try("upkeep", self._beside)

    def round_of_ended(self) -> None:
        """Sign the heads of the incidents that have just ended, and deliver."""
        self._try("the heads", self._sign_ended)
        self._deliver()

    def _try(self, what: str, work: Callable[[], None]) -> None:
        try:
            work()
        except HoldfastError as error:
            self._say(what, error.message)
        except Exception as error:  # noqa: BLE001 - the next round tries again; the thread must live
            self._say(what, f"{what}: {type(error).__name__}: {error}")
        else:
            self._say(what, None)

    def _say(self, what: str, problem: str | None, *, chain: bool = False) -> None:
        with self._lock:
            known = self._found.pop(what, None)
            if problem is not None:
                self._found[what] = problem
        if problem is not None and problem != known:
            # A chain that was rewritten is trouble; a receiver that is down is not an illness of
            # this process, and nobody should restart it for that.
            (self._on_trouble if chain else self._on_notice)(problem)

    # --- signing ----------------------------------------------------------

    def _sign_ended(self) -> None:
        with self._lock:
            ended, self._ended = sorted(self._ended), set()
        marks = [self._ledger.chain(incident_id)[1] for incident_id in ended]
        self._refused |= self._sign([mark for mark in marks if mark is not None])

    def _sign_all(self) -> None:
        with self._lock:
            self._ended = set()
        refused: set[str] = set()
        while True:
            most = _MOST + len(refused)
            marks = self._ledger.unsigned_heads(self._signer.public.key_id, most)
            refused = self._sign(marks)
            if len(marks) < most or len(refused) == len(marks):
                break
        for put_right in self._refused - refused:
            self._say(put_right, None)
        self._refused = refused

    def _sign(self, marks: Iterable[HeadMark]) -> set[str]:
        """Sign these; return the chains that were refused."""
        refused: set[str] = set()
        signed, known = [], []
        with self._outbox.writing():
            for mark in marks:
                problem = self._problem(mark)
                self._say(mark.incident_id, problem, chain=True)
                if problem is not None:
                    refused.add(mark.incident_id)
                elif mark.seq > 0:
                    last = self._outbox.last(mark.incident_id)
                    if last and last.mark == mark and last.key_id == self._signer.public.key_id:
                        known.append(last)
                    else:
                        signed.append(self._signer.sign(mark, self._clock.now()))
            if signed:
                self._outbox.add(signed)
        for one in (*known, *signed):
            self._ledger.put_signature(one)
        return refused

    def _problem(self, mark: HeadMark) -> str | None:
        """Say why this head must not be signed: its chain does not go on from what was signed."""
        last = self._outbox.last(mark.incident_id) or self._stored(mark.incident_id)
        if last is not None and self._follows(mark, last):
            return None
        links, head = self._ledger.chain(mark.incident_id)
        verdict = verify_chain(mark.incident_id, links, head.head if head else None)
        verdict = check_signatures(verdict, links, (), self._keys, [last] if last else [])
        there = mark.seq <= len(links) and links[mark.seq - 1].hash == mark.head
        if verdict.ok and there:
            return None
        return (
            f"the head of {mark.incident_id} is not signed: "
            f"{verdict.problem or 'it is not in its chain'}; compare it with a backup and the "
            f"exported heads: `holdfast incident verify {mark.incident_id}`"
        )

    def _stored(self, incident_id: str) -> SignedHead | None:
        known = [
            one
            for one in self._ledger.signatures(incident_id)
            if one.key_id in self._keys and self._keys[one.key_id].made(one)
        ]
        return max(known, key=lambda one: one.mark.seq, default=None)

    def _follows(self, mark: HeadMark, last: SignedHead) -> bool:
        """Hash what came since the last signature; the whole chain need not be read for it."""
        if mark.seq < last.mark.seq:
            return False
        head = last.mark.head
        try:
            for record in self._ledger.records(mark.incident_id, last.mark.seq):
                if record.seq <= mark.seq:
                    head = link_hash(head, canonical_json(record.body()))
        except LedgerUnavailableError:
            return False
        return head == mark.head

    # --- exporting --------------------------------------------------------

    def _deliver(self) -> None:
        for receiver in self._receivers:
            self._try(receiver.shown, partial(self._deliver_to, receiver))

    def _shorten(self) -> None:
        with self._outbox.exporting() as mine, self._outbox.writing():
            if mine:
                self._outbox.shorten([receiver.key for receiver in self._receivers])

    def _deliver_to(self, receiver: Receiver) -> None:
        with self._outbox.exporting() as mine:
            while mine and not self._stopping.is_set():
                rows, cursor = self._outbox.pending(receiver.key, receiver.most)
                if cursor is None:
                    return
                try:
                    receiver.deliver(rows)
                except ReceiverError as error:
                    text = f"{error.message}; signed heads wait in {OUTBOX_NAME} and are sent again"
                    raise ReceiverError(text) from None
                self._outbox.delivered(receiver.key, cursor)


class Told(Protocol):
    """Shows people what the keeper has to say."""

    def on_trouble(self, text: str) -> None: ...

    def notice(self, text: str) -> None: ...


def head_keeper(
    installation: "Installation",
    ledger: Ledger,
    clock: Clock,
    told: Told,
    beside: Callable[[], None],
) -> HeadKeeper:
    """Make the keeper that an installation's settings describe; `start` begins."""
    settings, directory = installation.config.heads, installation.directory
    return HeadKeeper(
        directory=directory,
        ledger=ledger,
        signer=open_signer(directory),
        clock=clock,
        every_s=settings.every_s,
        to=receivers(settings.export, directory),
        on_trouble=told.on_trouble,
        on_notice=told.notice,
        beside=beside,
    )


class Heeding:
    """Fulfils `engine.ports.Watcher`: passes everything on, and shows the keeper what ends."""

    def __init__(self, watcher: "Watcher", keeper: HeadKeeper) -> None:
        self._watcher, self._keeper = watcher, keeper

    def on_record(self, record: Record) -> None:
        """Pass a record on."""
        self._watcher.on_record(record)
        self._keeper.on_record(record)

    def on_trouble(self, text: str) -> None:
        """Pass a trouble on."""
        self._watcher.on_trouble(text)
