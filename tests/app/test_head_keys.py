"""The signing key: made once, for its owner alone, outside the database, and never shown."""

import stat
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from holdfast.app.head_outbox import LOCK_NAME
from holdfast.app.heads import KEY_NAME, KEY_VARIABLE, PUBLIC_NAME, open_signer, trusted_keys
from holdfast.kernel.errors import BadInputError
from holdfast.ledger.heads import new_private_pem
from tests.app.head_parts import Place, place_in

WAIT_S = 10.0


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    with place_in(tmp_path) as made:
        yield made


def test_a_key_is_made_once_for_its_owner_alone_and_outside_the_database(place: Place) -> None:
    first, again = open_signer(place.directory), open_signer(place.directory)
    key = place.directory / KEY_NAME

    assert first.public == again.public
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert list(trusted_keys(place.directory)) == [first.public.key_id]
    place.incident()
    place.keeper().round()
    secret = key.read_bytes().split(b"\n")[1]
    for path in place.directory.iterdir():
        assert path.name == KEY_NAME or secret not in path.read_bytes(), path


def test_processes_that_start_at_once_end_up_with_one_key(tmp_path: Path) -> None:
    go = threading.Barrier(8)
    found: list[str] = []

    def start() -> None:
        go.wait(WAIT_S)
        found.append(open_signer(tmp_path).public.key_id)

    threads = [threading.Thread(target=start) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WAIT_S)

    assert len(found) == 8
    assert len(set(found)) == 1
    assert {path.name for path in tmp_path.iterdir()} == {KEY_NAME, PUBLIC_NAME, LOCK_NAME}


def test_a_key_may_lie_elsewhere_and_a_changed_one_is_trusted_beside_the_old(
    place: Place, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    old = open_signer(place.directory).public.key_id
    given = tmp_path_factory.mktemp("keys") / "given.pem"
    given.write_bytes(new_private_pem())
    given.chmod(0o400)
    monkeypatch.setenv(KEY_VARIABLE, str(given))
    new = open_signer(place.directory).public.key_id

    assert new != old
    assert list(trusted_keys(place.directory)) == [old, new]


def test_a_key_that_others_can_read_or_that_is_none_stops_the_start(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_signer(place.directory)
    key = place.directory / KEY_NAME
    key.chmod(0o644)
    with pytest.raises(BadInputError, match=r"rights 644.*chmod 600"):
        open_signer(place.directory)
    key.chmod(0o600)
    key.write_bytes(b"not a key")
    with pytest.raises(BadInputError, match="no Ed25519 private key") as refused:
        open_signer(place.directory)
    assert "not a key" not in str(refused.value)
    monkeypatch.setenv(KEY_VARIABLE, str(place.directory / "gone.pem"))
    with pytest.raises(BadInputError, match=r"can't read the key .*gone\.pem"):
        open_signer(place.directory)
    assert not (place.directory / "gone.pem").exists(), "one that is given is never made"
