"""Effects are counted at the targets, each once, and a duplicate shows."""

import os
import signal
import subprocess
import sys

from holdfast.sandbox.effects import PROCESS_STARTED, RELEASE_SWITCHED, duplicates
from holdfast.sandbox.platform import Platform
from holdfast.sandbox.releases import current_version
from holdfast.sandbox.site import process_name
from holdfast.sandbox.supervisor import Supervisor

# What an actuator does that performs its rollback twice: the same link, the same target.
ROLL_BACK_TWICE = """
import os, sys
directory, version = sys.argv[1:]
for n in range(2):
    fresh = os.path.join(directory, f".rollback-{n}")
    os.symlink(version, fresh)
    os.replace(fresh, os.path.join(directory, "current"))
"""


def test_a_rollback_performed_twice_is_counted_twice(platform: Platform) -> None:
    service = platform.blueprint.api
    before = len(platform.observe())
    directory = platform.site.releases / service
    version = current_version(platform.site, service)
    subprocess.run([sys.executable, "-c", ROLL_BACK_TWICE, directory, version], check=True)
    seen = platform.observe()[before:]
    assert [(effect.kind, effect.target) for effect in seen] == [(RELEASE_SWITCHED, service)] * 2
    assert duplicates(seen, {(RELEASE_SWITCHED, service): 1}) == 1
    assert duplicates(seen, {(RELEASE_SWITCHED, service): 2}) == 0


def test_a_restart_performed_twice_is_counted_twice(platform: Platform) -> None:
    service, region = platform.blueprint.worker, platform.blueprint.regions[0]
    name, target = process_name(service, region), f"{service}@{region}"
    before = len(platform.observe())
    outsider = Supervisor(platform.site.supervisor_socket)
    for _ in range(2):
        outsider.stop(name)
        assert outsider.start(name)
    outsider.close()
    seen = platform.observe()[before:]
    assert [(effect.kind, effect.target) for effect in seen] == [(PROCESS_STARTED, target)] * 2
    assert duplicates(seen, {(PROCESS_STARTED, target): 1}) == 1


def test_what_the_sandbox_does_itself_is_no_effect_of_anybody_elses(platform: Platform) -> None:
    before = len(platform.observe())
    platform.heal(platform.inject("bad-deploy"))
    platform.heal(platform.inject("service-down", service=platform.blueprint.api))
    assert len(platform.observe()) == before
    assert any(effect.by_sandbox for effect in platform.observers.effects(own=True))


def test_a_start_that_fails_is_an_effect_too(platform: Platform) -> None:
    injected = platform.inject("service-down", down_for_s=None)
    before = len(platform.observe())
    assert not platform.supervisor.start(injected.detail["process"])
    seen = platform.observe()[before:]
    platform.heal(injected)
    assert [effect.target for effect in seen] == [f"{injected.entity}@{injected.region}"]


def test_the_event_log_starts_again_where_it_was_when_it_is_killed(platform: Platform) -> None:
    before = len(platform.observe())
    os.kill(int(platform.supervisor.states()["event-log"]["pid"]), signal.SIGKILL)
    assert len(platform.observe()) == before
