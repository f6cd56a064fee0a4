"""The whole response as one pure step, and what it needs from the world.

Rule: `decide(state, event, now, world)` reads nothing and does nothing; the
Protocols in `ports` and `store` say what the shells promise. When in doubt, the
answer is a hold.
"""

from holdfast.response.decide import decide
from holdfast.response.world import ActionFacts, Timing, World

__all__ = ["ActionFacts", "Timing", "World", "decide"]
