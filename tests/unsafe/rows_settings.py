"""What a configuration would allow that nobody should, and what a person may not raise."""

from collections.abc import Callable
from pathlib import Path

from holdfast.app.installation import load_installation
from holdfast.app.steering import grant_override
from holdfast.kernel import HoldfastError
from tests.surface import Installed
from tests.unsafe.office import office
from tests.unsafe.situation import Group, Met, Stop

ROWS = Group("Allow-lists and limits")
NAMED = "Name the one thing that is meant"


def refused(site: Installed) -> Met:
    """Load the configuration of an installation, which must not be possible."""
    try:
        load_installation(site.directory)
    except HoldfastError as error:
        return Met(said=error.message)
    return Met(said="it was read", done=1)


def installed(directory: Path, *, more: str = "", control: str = "") -> Installed:
    (directory / "runbooks").mkdir()
    site = Installed(directory=directory)
    site.describe(more=more)
    if control:
        text = f"services:\n  - name: my-api\n    control:\n      {control}\n"
        site.write("services.yaml", text)
    return site


def control(directory: Path, text: str) -> Met:
    return refused(installed(directory, control=text))


def command(directory: Path, program: str, *arguments: str) -> Met:
    argv = ", ".join([program, *arguments])
    more = f"actions: {{commands: {{it: {{argv: [{argv}]}}}}}}\n"
    return refused(installed(directory, more=more))


def http(directory: Path, call: str) -> Met:
    return refused(installed(directory, more=f"actions: {{http: {{it: {{{call}}}}}}}\n"))


def _row(what: str, way_out: str = NAMED) -> Callable[[Callable[[Path], Met]], object]:
    return ROWS.unsafe(what, stops=Stop.CONFIGURATION, way_out=way_out)


@_row("A wildcard as the prefix of a cache", "Name the prefix, as `page:`")
def wildcard_prefix(directory: Path) -> Met:
    return control(directory, "cache: {url: 'redis://127.0.0.1/0', prefixes: ['*']}")


@_row("An empty prefix: the whole cache", "Name the prefix, as `page:`")
def empty_prefix(directory: Path) -> Met:
    return control(directory, "cache: {url: 'redis://127.0.0.1/0', prefixes: ['']}")


@_row("A whole system directory as a place for temporary files")
def system_directory(directory: Path) -> Met:
    return control(directory, "temp: {paths: [/etc/app]}")


@_row("A wildcard in a path for temporary files")
def wildcard_path(directory: Path) -> Met:
    return control(directory, "temp: {paths: ['/var/tmp/*']}")


@_row("A shell as a command", "Write a program of your own, and name it")
def shell(directory: Path) -> Met:
    return command(directory, "/bin/sh", "-c", "'rm -rf ${service}'")


@_row("A shell behind `env`", "Write a program of your own, and name it")
def shell_behind_env(directory: Path) -> Met:
    return command(directory, "/usr/bin/env", "sh")


@_row("A shell behind a symbolic link", "Write a program of your own, and name it")
def shell_behind_a_link(directory: Path) -> Met:
    link = directory / "restart-cdn"
    link.symlink_to("/bin/sh")
    return command(directory, str(link))


@_row("A copy of an interpreter with another name", "Write a program of your own, and name it")
def copied_interpreter(directory: Path) -> Met:
    copy = directory / "restart-cdn"
    copy.write_bytes(Path("/bin/sh").resolve().read_bytes())
    copy.chmod(0o755)
    return command(directory, str(copy))


@_row("A program that everybody may write", "`chmod o-w` it")
def writable_program(directory: Path) -> Met:
    program = directory / "restart-cdn"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o757)
    return command(directory, str(program))


@_row("A library preloaded into a command", "Leave the variable out")
def preloaded(directory: Path) -> Met:
    argv = "argv: [/usr/bin/true], env: {LD_PRELOAD: /tmp/x.so}"
    return refused(installed(directory, more=f"actions: {{commands: {{it: {{{argv}}}}}}}\n"))


@_row("A request whose host is filled in when it is sent", "Write the host out")
def host_filled_in(directory: Path) -> Met:
    return http(directory, "url: 'https://${region}.example.com/x'")


@_row("A request that is not encrypted", "Write https://")
def not_encrypted(directory: Path) -> Met:
    return http(directory, "url: 'http://cdn.example.com/x'")


@_row("A request by a verb that changes nothing", "Use POST, PUT, PATCH or DELETE")
def wrong_verb(directory: Path) -> Met:
    return http(directory, "url: 'https://cdn.example.com/x', method: GET")


@_row("A load balancer's admin socket on the network", "Give the path of its unix socket")
def socket_on_the_network(directory: Path) -> Met:
    return control(directory, "pool: {haproxy: {socket: '10.0.0.1:9999', backend: b}}")


@_row("A limit that is to be switched off", "Write a number within its range")
def limit_switched_off(directory: Path) -> Met:
    return refused(installed(directory, more="limits: {readings_max_age_s: 0}\n"))


def raised(directory: Path, limit: str) -> Met:
    with office(directory) as place:
        secret = place.token("person", "approve")
        said = place.refuses(secret, lambda desk: grant_override(desk, "INC-1", limit, "hurry"))
        return Met(said=said, done=len(place.desk.system.state().overrides))


@ROWS.unsafe(
    "An override of an authority boundary",
    stops=Stop.REQUEST,
    way_out="Hand it over to whoever it belongs to",
)
def boundary_overridden(directory: Path) -> Met:
    return raised(directory, "boundary")


@ROWS.unsafe(
    "An override of an approval",
    stops=Stop.REQUEST,
    way_out="Somebody approves it",
)
def approval_overridden(directory: Path) -> Met:
    return raised(directory, "always_approve")
