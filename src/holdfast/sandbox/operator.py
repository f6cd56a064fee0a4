"""The one who is on call, as a run plays them: approves and directs by the command line.

Rule: does the moves of the scenario's row, in their order, each after the record it
waits for, with the token that `holdfast init` gave; knows of an incident only what
`incident show` tells a person.
"""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from holdfast.kernel import HoldfastError
from holdfast.sandbox.blueprint import Blueprint
from holdfast.sandbox.holdfast_process import Holdfast
from holdfast.sandbox.scenario import Move

MOVE_TIMEOUT_S = 40.0


class Operator:
    """Acts on one installation."""

    def __init__(self, holdfast: Holdfast, shape: Blueprint, name: str = "") -> None:
        self._holdfast = holdfast
        self._name = name or "the one on call"
        self._words = {key: str(value) for key, value in asdict(shape).items()}

    def do(self, move: Move, incident_id: str) -> str:
        """Carry a move out and say it in a line. Raises HoldfastError when it is refused."""
        argv = self._argv(move, incident_id)
        answer = self._holdfast.call(*argv, "--json", timeout_s=MOVE_TIMEOUT_S)
        if answer.code != 0:
            raise HoldfastError(
                f"{self._name} could not {move.do} on {incident_id} (exit code {answer.code}): "
                f"{(answer.err or answer.out).strip()[-400:]}"
            )
        return f"{self._name}: {move.do} {' '.join(argv[2:4])}"

    def _argv(self, move: Move, incident_id: str) -> list[str]:
        because = ["--because", self._filled(move.because)]
        if move.do == "approve":
            step = self._waiting_step(incident_id)
            return ["approve", incident_id, step["step_id"], "--hash", step["hash"], *because]
        params = [f"--param={k}={self._filled(v)}" for k, v in move.params.items()]
        expect = [f"--expect={self._filled(text)}" for text in move.expect]
        target = self._filled(move.target)
        return ["direct", incident_id, move.action, target, *because, *params, *expect]

    def _waiting_step(self, incident_id: str) -> Mapping[str, Any]:
        shown = self._holdfast.ask("incident", "show", incident_id, "--json")
        for step in reversed(shown["steps"]):
            if step["status"] == "awaiting_approval":
                found: Mapping[str, Any] = step
                return found
        raise HoldfastError(f"no step of {incident_id} waits for an approval; see `incident show`")

    def _filled(self, text: str) -> str:
        return text.format(**self._words)
