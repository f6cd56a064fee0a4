"""What a script has done to the platform: seen by its people, and never taken for an effect."""

from collections.abc import Callable
from urllib.error import HTTPError

import pytest

from holdfast.kernel import HoldfastError
from holdfast.sandbox.doings import SILENT, Doings
from holdfast.sandbox.platform import Platform
from holdfast.sandbox.relay import Relay
from tests.sandbox.shopping import metrics

Eventually = Callable[[Callable[[], bool], str], None]


def test_the_relay_passes_the_workers_pages_on_until_it_is_silent(platform: Platform) -> None:
    with Relay(platform.site) as relay:
        doings = Doings(platform, relay, lambda: None)
        urls = [relay.url(region) for region in platform.blueprint.regions]
        assert all("queue_depth" in metrics(url) for url in urls)
        assert doings.do("silence-metrics", []) == SILENT
        for url in urls:
            with pytest.raises(HTTPError) as refused:
                metrics(url)
            refused.value.close()
        assert doings.do("restore-metrics", []) is None
        assert all("queue_depth" in metrics(url) for url in urls)


def test_a_restart_by_hand_is_a_new_process_and_no_effect_of_holdfasts(
    platform: Platform, eventually: Eventually
) -> None:
    shape = platform.blueprint
    region = shape.regions[0]
    name = f"{shape.worker}-{region}"
    before, pid = len(platform.observe()), platform.supervisor.state(name)["pid"]
    Doings(platform, None, lambda: None).do("restart-by-hand", [f"{shape.worker}@{region}"])
    assert platform.supervisor.state(name)["pid"] != pid
    assert len(platform.observe()) == before

    def answers() -> bool:
        try:
            return "queue_depth" in metrics(platform.site.url(shape.worker, region, "/metrics"))
        except OSError:
            return False

    eventually(answers, "the workers to answer again")


def test_nothing_is_healed_that_was_not_broken(platform: Platform) -> None:
    with pytest.raises(HoldfastError, match="nothing is broken"):
        Doings(platform, None, lambda: None).do("heal", [])
