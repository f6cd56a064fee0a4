"""The loop: claim, decide, carry out, append. Knows only the Protocols.

Rule: nothing reaches a target except through `hands`, and only between a durable
intent and its outcome. Everything else here moves facts between the pure core
and the world.
"""

from holdfast.engine.carry import Carrier
from holdfast.engine.hands import Hands
from holdfast.engine.journal import Journal
from holdfast.engine.monitor import Monitor, Tick
from holdfast.engine.opening import OpeningFacts
from holdfast.engine.runner import Engine
from holdfast.engine.sampler import Sampler
from holdfast.engine.told import Became, Told

__all__ = [
    "Became",
    "Carrier",
    "Engine",
    "Hands",
    "Journal",
    "Monitor",
    "OpeningFacts",
    "Sampler",
    "Tick",
    "Told",
]
