"""The keys as bytes, made anew with every append and yet cheaply.

A step that has not changed since the last append keeps its bytes: of an incident's four steps an
append changes one, and the others are most of what there is to encode.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from holdfast.incident.state import State, Step
from holdfast.incident.view import checkpoint, owner_key, step_view, summary
from holdfast.kernel.canonical import Encoded, plain_json


@dataclass(slots=True, kw_only=True)
class Projector:
    """Makes the keys of one incident. Not for two threads at once."""

    _kept: dict[str, tuple[Step, bytes]] = field(default_factory=dict)

    def keys(self, state: State, head: bytes) -> Mapping[str, Encoded]:
        """Give what `view.projections` gives, as JSON."""
        prefix = f"incident:{state.incident_id}"
        return {
            f"{prefix}:status": plain_json(summary(state, head)),
            f"{prefix}:steps": self._steps(state),
            f"{prefix}:checkpoint": plain_json(checkpoint(state, head)),
            f"{prefix}:owner": plain_json(owner_key(state)),
        }

    def _steps(self, state: State) -> Encoded:
        self._kept = {step.step_id: (step, self._encoded(step)) for step in state.steps}
        steps = b",".join(encoded for _, encoded in self._kept.values())
        named = plain_json({"incident_id": state.incident_id, "seq": state.seq})
        return Encoded(named[:-1] + b',"steps":[' + steps + b"]}")

    def _encoded(self, step: Step) -> bytes:
        before, encoded = self._kept.get(step.step_id, (None, b""))
        # The same object, not an equal one: nouns are never changed, only replaced.
        return encoded if before is step else plain_json(step_view(step))
