"""What only the target itself can tell: another hand was there, or the way leads elsewhere."""

import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from holdfast.actions import RollbackDeploy
from holdfast.actions.clear_cache import ClearCache
from holdfast.actions.command import RunCommand
from holdfast.actions.disable_flag import DisableFlag
from holdfast.actions.drain_pool import DRAIN, TurnPool
from holdfast.kernel import HoldfastError
from holdfast.kernel.catalogue import Catalogue, Service
from holdfast.response.ports import ActionOutcome
from tests.actions.test_disable_flag import TEXT
from tests.io_parts import answering, catalogue, point, releases, request
from tests.unsafe.situation import Group, Met, Stop

ROWS = Group("At the target")
LOOK = "Look what was changed, and by whom; then direct the step on what is there now"


def tried(act: Callable[[], ActionOutcome], done: Callable[[], bool]) -> Met:
    """Act, and ask the target itself whether anything happened."""
    try:
        outcome = act()
        said = outcome.summary
        assert not outcome.ok, said
    except HoldfastError as error:
        said = error.message
    return Met(said=said, done=int(done()))


def shop(section: str, control: dict[str, object]) -> Catalogue:
    return catalogue(Service(name="shop", control={section: control}))


@ROWS.unsafe(
    "A symbolic link on the way to the temporary files, made after the step was judged",
    stops=Stop.TARGET,
    way_out="Put the directory back, or correct the path in services.yaml",
)
def link_out_of_the_path(directory: Path) -> Met:
    precious = directory / "precious"
    (directory / "app" / "tmp").mkdir(parents=True)
    (directory / "elsewhere" / "tmp").mkdir(parents=True)
    (directory / "app" / "tmp" / "old").write_text("x")
    os.utime(directory / "app" / "tmp" / "old", (0, 0))
    kept = directory / "elsewhere" / "tmp" / "precious"
    kept.write_text("keep")
    os.utime(kept, (0, 0))
    section = {"paths": [str(directory / "app" / "tmp")], "older_than_s": 0.0}
    action = ClearCache(shop("temp", section))
    asked = request("clear_cache", "shop", pre_image=action.observe("shop", {}))
    (directory / "app").rename(precious)
    (directory / "app").symlink_to(directory / "elsewhere")
    return tried(lambda: action.perform(asked), lambda: not kept.exists())


def flags(directory: Path) -> tuple[DisableFlag, Path]:
    path = directory / "flags.json"
    path.write_text(TEXT)
    return DisableFlag(shop("flags", {"file": str(path), "allowed": ["new-prices"]})), path


@ROWS.unsafe(
    "A flag that is in no allow-list",
    stops=Stop.TARGET,
    way_out="Add it to `control.flags.allowed` if it may be turned",
)
def flag_that_is_not_allowed(directory: Path) -> Met:
    action, path = flags(directory)
    asked = request("disable_flag", "shop", params={"flag": "old-basket"})
    return tried(lambda: action.perform(asked), lambda: path.read_text() != TEXT)


@ROWS.unsafe(
    "A flag file that somebody edited after the step was judged", stops=Stop.TARGET, way_out=LOOK
)
def flag_edited_meanwhile(directory: Path) -> Met:
    action, path = flags(directory)
    params = {"flag": "new-prices"}
    asked = request("disable_flag", "shop", params=params, pre_image=action.observe("shop", params))
    edited = TEXT.replace('"defaultVariant": "on", "x-note"', '"defaultVariant": "off", "x-note"')
    path.write_text(edited)
    return tried(lambda: action.perform(asked), lambda: path.read_text() != edited)


@ROWS.unsafe(
    "An undo of a flag that somebody changed after the step",
    stops=Stop.TARGET,
    way_out=LOOK,
)
def undo_after_a_change(directory: Path) -> Met:
    action, path = flags(directory)
    params = {"flag": "new-prices"}
    asked = request("disable_flag", "shop", params=params, pre_image=action.observe("shop", params))
    assert action.perform(asked).ok
    edited = path.read_text().replace('"on": true', '"on": "blue"')
    path.write_text(edited)
    return tried(lambda: action.undo(asked), lambda: path.read_text() != edited)


@ROWS.unsafe(
    "A release that was deployed after the rollback was judged", stops=Stop.TARGET, way_out=LOOK
)
def deployed_meanwhile(directory: Path) -> Met:
    place = releases(directory / "releases", "v1", "v2", "v3", current="v2")
    action = RollbackDeploy(shop("release", {"directory": str(place)}))
    asked = request("rollback_deploy", "shop", pre_image=action.observe("shop", {}))
    point(place, "v3")
    return tried(lambda: action.perform(asked), lambda: str((place / "current").readlink()) != "v3")


def tool(directory: Path) -> tuple[RunCommand, Path]:
    """Allow one program, which leaves a mark."""
    path = directory / "purge"
    path.write_text(f"#!/bin/sh\ntouch {directory}/mark\n")
    path.chmod(0o755)
    commands = {"purge": {"argv": [str(path)], "timeout_s": 10.0}}
    return RunCommand(catalogue(Service(name="shop")), commands), directory / "mark"


@ROWS.unsafe(
    "A program that was exchanged after the step was judged",
    stops=Stop.TARGET,
    way_out="Look who exchanged it; then direct the step again",
)
def program_exchanged(directory: Path) -> Met:
    action, mark = tool(directory)
    params = {"call": "purge"}
    asked = request("command", "shop", params=params, pre_image=action.observe("shop", params))
    fresh = directory / "fresh"
    fresh.write_text(f"#!/bin/sh\ntouch {mark} {directory}/more\n")
    fresh.chmod(0o755)
    fresh.rename(directory / "purge")
    return tried(lambda: action.perform(asked), mark.exists)


@ROWS.unsafe(
    "A command that nobody allowed",
    stops=Stop.TARGET,
    way_out="Add it to `actions.commands` if it may be run",
)
def command_that_is_not_allowed(directory: Path) -> Met:
    action, mark = tool(directory)
    asked = request("command", "shop", params={"call": "rm -rf /"})
    return tried(lambda: action.perform(asked), mark.exists)


@contextmanager
def balancer(directory: Path, told: list[str]) -> Iterator[str]:
    """Answer as a load balancer whose other server is down, and note what it is told."""
    head = "1\n# srv_name srv_op_state srv_admin_state srv_uweight srv_iweight\n"

    def serve(connection: socket.socket) -> None:
        line = connection.recv(4096).decode().strip()
        told.append(line)
        if line.startswith("show info"):
            connection.sendall(b"Pid: 7\n")
        elif line.startswith("show servers"):
            connection.sendall(f"{head}shop-east 2 0 10 10\nshop-west 0 0 10 10\n".encode())
        else:
            connection.sendall(b"\n")
        connection.close()

    with answering(socket.AF_UNIX, str(directory / "admin"), serve) as address:
        yield str(address)


@ROWS.unsafe(
    "The last server of a pool that serves",
    stops=Stop.TARGET,
    way_out="Put another one back first",
)
def last_server(directory: Path) -> Met:
    told: list[str] = []
    with balancer(directory, told) as address:
        place = {"socket": address, "backend": "shop", "server": "shop-{region}"}
        service = Service(
            name="shop", regions=("east", "west"), control={"pool": {"haproxy": place}}
        )
        action = TurnPool(catalogue(service), DRAIN)
        seen = action.observe("shop@east", {})
        assert not seen["reachable"], "the guard is never asked about a target like that"
        asked = request("drain_pool", "shop@east", pre_image={**seen, "turns": ["shop-east"]})
        return tried(lambda: action.perform(asked), lambda: any("set" in each for each in told))
