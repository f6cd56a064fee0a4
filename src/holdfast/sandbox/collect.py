"""The account of a run, asked for after Holdfast was stopped: a ledger must speak without it.

Rule: the product's own commands and the observers, nothing read from its files.
"""

import json
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from holdfast.kernel import HoldfastError
from holdfast.sandbox.effects import Effect
from holdfast.sandbox.facts import Incident
from holdfast.sandbox.holdfast_process import Holdfast, Serving
from holdfast.sandbox.platform import Platform

BARE_RULE = "holdfast_bare_rule_fired_total"


@dataclass(frozen=True, slots=True, kw_only=True)
class Collected:
    """What the product tells of a run, and what the observers saw."""

    incidents: tuple[Incident, ...] = ()
    effects: tuple[Effect, ...] = ()
    bare_rule_fired: int = 0


def collect(
    holdfast: Holdfast, serving: Serving | None, platform: Platform, trouble: list[str]
) -> Collected:
    """Stop Holdfast and ask for everything. What it did wrong on the way goes to `trouble`."""
    fired = 0
    if serving is not None and serving.running:
        fired = _bare_rule(serving, trouble)
        code = serving.stop()
        if code != 0:
            trouble.append(f"`holdfast serve` ended with exit code {code} when asked to stop")
    effects = platform.observe()
    platform.traffic.stop()  # nobody looks any more, and users cost half of what a platform does
    with ThreadPoolExecutor(2) as pool:
        return Collected(
            incidents=tuple(pool.map(lambda name: _incident(holdfast, name), _names(holdfast))),
            effects=effects,
            bare_rule_fired=fired,
        )


def _bare_rule(serving: Serving, trouble: list[str]) -> int:
    try:
        return int(serving.metrics()[BARE_RULE])
    except (OSError, KeyError) as error:
        trouble.append(f"/metrics did not tell {BARE_RULE}: {error!r}")
        return 0


def _names(holdfast: Holdfast) -> list[str]:
    listed = holdfast.ask("incident", "list", "--json")["incidents"]
    return [str(summary["incident_id"]) for summary in listed]


def _incident(holdfast: Holdfast, name: str) -> Incident:
    exported = holdfast.call("incident", "export", name)
    if exported.code != 0:
        raise HoldfastError(f"`{exported.command}` failed: {exported.err.strip()[-300:]}")
    return Incident(
        shown=holdfast.ask("incident", "show", name, "--json"),
        records=[body for line in exported.out.splitlines() if (body := _body(line))],
        verdict=holdfast.call("incident", "verify", name, "--json").document(),
    )


def _body(line: str) -> Mapping[str, Any] | None:
    """Read the record of one exported line; a signed head has none."""
    body: Mapping[str, Any] | None = json.loads(line).get("body")
    return body
