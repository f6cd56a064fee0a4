"""The pooler before a real server: it relays, limits, lets wait, and gives back."""

import contextlib
import json
import socket
import struct
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import psycopg
import pytest

from holdfast.sandbox.database_faults import ConnectionLeak
from holdfast.sandbox.services import wire
from holdfast.sandbox.services.limiting import WAIT_S
from tests.sandbox.data_plane import Connection, DataPlane, started_data_plane, until

SIZE = 3


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DataPlane]:
    with started_data_plane(tmp_path_factory.mktemp("pool"), pool_size=SIZE) as running:
        yield running


@contextlib.contextmanager
def everything_held(plane: DataPlane, size: int = SIZE) -> Iterator[list[Connection]]:
    """Open a transaction on `size` connections and go quiet."""
    with contextlib.ExitStack() as stack:
        holders = [
            stack.enter_context(plane.client(f"holder-{n}", autocommit=False)) for n in range(size)
        ]
        for holder in holders:
            holder.execute("SELECT 1")
        yield holders


def test_what_a_client_asks_passes_through_as_it_is(plane: DataPlane) -> None:
    with plane.client() as client:
        long = "x" * 3_000_000
        assert client.execute("SELECT %s || %s", (long, "y")).fetchone() == (long + "y",)
        with pytest.raises(psycopg.errors.DivisionByZero):
            client.execute("SELECT 1 / %s", (0,))
        with client.transaction():
            client.execute("CREATE TEMPORARY TABLE mine (n int) ON COMMIT DROP")
            with client.cursor().copy("COPY mine FROM STDIN") as copy:
                for n in range(500):
                    copy.write_row((n,))
            assert client.execute("SELECT sum(n) FROM mine").fetchone() == (124_750,)
        with client.pipeline():
            answers = [client.execute("SELECT %s", (n,)) for n in range(5)]
        assert [answer.fetchone() for answer in answers] == [(n,) for n in range(5)]


def test_many_clients_share_few_connections_and_a_transaction_keeps_its_own(
    plane: DataPlane,
) -> None:
    before = plane.measured("pool_transactions")

    def work(number: int) -> tuple[int, set[int]]:
        with plane.client(f"client-{number}", autocommit=False) as client:
            seen = {client.execute("SELECT pg_backend_pid()").fetchone() for _ in range(4)}
        return number, {row[0] for row in seen if row}

    with ThreadPoolExecutor(12) as threads:
        sessions = dict(threads.map(work, range(12)))

    assert all(len(of_one) == 1 for of_one in sessions.values())
    assert len(set().union(*sessions.values())) <= SIZE
    assert plane.measured("pool_transactions") == before + 12
    assert plane.measured("pool_in_use") == 0
    assert plane.measured("pool_size") == SIZE


def test_who_comes_beyond_waits_in_line_and_is_served_in_turn(plane: DataPlane) -> None:
    served: dict[str, datetime] = {}

    def ask(name: str) -> None:
        with plane.client(name) as client:
            row = client.execute("SELECT clock_timestamp()").fetchone()
            served[name] = row[0] if row else datetime.now(UTC)

    waited = plane.measured("pool_wait", "_sum")
    with everything_held(plane) as holders:
        threads = [threading.Thread(target=ask, args=(name,)) for name in ("first", "second")]
        threads[0].start()
        until(lambda: plane.measured("pool_waiting") == 1, "one in line")
        threads[1].start()
        until(lambda: plane.measured("pool_waiting") == 2, "two in line")
        holders[1].commit()
        for thread in threads:
            thread.join()

    assert served["first"] < served["second"]
    assert plane.measured("pool_wait", "_sum") > waited


@pytest.mark.slow
def test_held_transactions_are_counted_and_named_and_who_waits_too_long_is_told(
    plane: DataPlane,
) -> None:
    with plane.client() as late:
        with everything_held(plane):
            began = time.monotonic()
            with pytest.raises(psycopg.errors.TooManyConnections, match=f"{SIZE} connections"):
                late.execute("SELECT 1")
            assert time.monotonic() - began == pytest.approx(WAIT_S, abs=0.5)
            assert plane.measured("pool_held") == plane.measured("pool_in_use") == SIZE
            assert plane.measured("pool_waiting") == 0
            until(lambda: len(plane.logged("held open")) >= SIZE, "the log to name the holders")
        assert late.execute("SELECT 'the same connection'").fetchone() is not None
    names = {json.loads(line)["application"] for line in plane.logged("held open")}
    assert names == {f"holder-{n}" for n in range(SIZE)}
    assert plane.measured("pool_held") == 0


def test_a_client_that_leaves_in_a_transaction_is_rolled_back_and_frees_its_connection(
    plane: DataPlane,
) -> None:
    with plane.client(autocommit=False) as client:
        client.execute("INSERT INTO orders (region, item, total) VALUES ('left', 1, 1)")
        assert plane.measured("pool_in_use") == 1
        client.pgconn.finish()  # no COMMIT, no ROLLBACK
    until(lambda: plane.measured("pool_in_use") == 0, "its connection to be free")
    with plane.client() as other:
        query = "SELECT count(*) FROM orders WHERE region = 'left'"
        assert other.execute(query).fetchone() == (0,)


def test_a_statement_can_be_cancelled_through_it(plane: DataPlane) -> None:
    with plane.client() as client:
        canceller = threading.Thread(target=cancel_when_it_runs, args=(plane, client))
        canceller.start()
        with pytest.raises(psycopg.errors.QueryCanceled):
            client.execute("SELECT pg_sleep(30)")
        canceller.join()


def cancel_when_it_runs(plane: DataPlane, client: Connection) -> None:
    until(lambda: plane.measured("pool_in_use") == 1, "the statement to run")
    client.cancel_safe()


@pytest.mark.slow
def test_what_leaks_holds_locks_until_the_pooler_is_restarted_and_does_not_come_back(
    plane: DataPlane,
) -> None:
    leak = ConnectionLeak(plane.site, sessions=SIZE - 1)
    insert = "INSERT INTO orders (region, item, total) SELECT 'leak', id, 1 FROM items"
    try:
        with pytest.raises(psycopg.OperationalError), plane.client() as client:  # noqa: PT012
            client.execute("SET statement_timeout = '100ms'")
            with pytest.raises(psycopg.errors.QueryCanceled):
                client.execute(insert)
            until(lambda: plane.measured("pool_held") == SIZE - 1, "the leak to be counted")
            plane.restart_pooler()
            client.execute("SELECT 1")
        with plane.client() as client:
            assert client.execute(insert).rowcount == 200
        until(lambda: plane.measured("pool_in_use") == 0, "no connection to be in use")
        assert plane.measured("pool_held") == 0
        assert leak.injected.entity == plane.site.blueprint.pooler
    finally:
        leak.release()


@pytest.mark.parametrize("question", [wire.SSL_REQUEST, wire.GSS_REQUEST])
def test_encryption_is_declined_and_the_client_may_go_on(plane: DataPlane, question: int) -> None:
    with asking(plane) as line:
        line.sendall(struct.pack("!II", 8, question))
        assert line.recv(1) == b"N"
        line.sendall(wire.startup({"user": "shop_owner", "database": "shop"}))
        assert line.recv(1) == b"R"


@pytest.mark.parametrize(
    "nonsense",
    [struct.pack("!II", 8, 2 << 16), b"GET / HTTP/1.1\r\n\r\n", struct.pack("!II", 4, 0)],
    ids=["an older protocol", "another protocol", "no length"],
)
def test_what_is_not_the_protocol_is_told_so_and_cut_off(plane: DataPlane, nonsense: bytes) -> None:
    with asking(plane) as line:
        line.sendall(nonsense)
        assert line.recv(1) == b"E"
        while line.recv(4096):
            pass


@contextlib.contextmanager
def asking(plane: DataPlane) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX) as line:
        line.settimeout(10)
        line.connect(str(plane.site.pool_socket_directory / ".s.PGSQL.5432"))
        yield line


@pytest.mark.parametrize("size", range(1, 12))
def test_frames_are_the_same_however_the_bytes_arrive(size: int) -> None:
    stream = wire.query("SELECT 1") + wire.ready() + wire.error("53300", "ä") + wire.query("")
    whole = wire.Frames().feed(stream)
    pieces = wire.Frames()
    cut = [f for at in range(0, len(stream), size) for f in pieces.feed(stream[at : at + size])]
    assert cut == whole
    assert [chr(kind) for kind, _ in whole] == ["Q", "Z", "E", "Q"]
    assert b"".join(body for _, body in whole) == stream


def test_a_start_up_is_read_as_it_was_written() -> None:
    told = {"user": "ada", "database": "shop", "options": "-c statement_timeout=1s"}
    code, body, rest = wire.untyped(wire.startup(told) + b"more") or (0, b"", b"")
    assert (code, rest) == (wire.PROTOCOL, b"more")
    assert wire.startup_parameters(body) == told
    assert wire.untyped(wire.startup(told)[:-1]) is None
