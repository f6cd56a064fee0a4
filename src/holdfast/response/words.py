"""A person's reason is in their own words: the text of a suggestion is none.

Whoever hands on what a model, a runbook or a hypothesis said has not said why they decide so. Only
what this incident was told counts, and only whole sentences: "it is stuck" is anybody's.
"""

import unicodedata
from collections.abc import Iterator

from holdfast.incident import State
from holdfast.kernel.actor import ActorKind
from holdfast.response.asking import Asking
from holdfast.response.world import World
from holdfast.runbooks import Runbook

_WORDS_LEAST = 4


def own_words(case: Asking, said: object) -> Iterator[str]:
    """Say what is wrong with a reason, if anything is."""
    words = _plain(said) if isinstance(said, str) else ""
    if not words:
        yield "no reason is given; say in your own words why, with --because"
        return
    for source, text in suggested_texts(case.state, case.world):
        if len(text.split()) >= _WORDS_LEAST and _plain(text) == words:
            yield f"that is {source}'s text; say in your own words why"
            return


def suggested_texts(state: State, world: World) -> Iterator[tuple[str, str]]:
    """List every text of this incident that suggests something, with whose it is."""
    for suggestion in state.suggestions:
        yield "a suggestion", str(suggestion.get("because") or "")
    for hypothesis in state.hypotheses:
        yield "a hypothesis", str(hypothesis.get("text") or "")
        yield "a next check", str(hypothesis.get("next_check") or "")
    for runbook in world.runbooks:
        if _was_found(runbook, state):
            yield "a runbook", runbook.title
            for step in runbook.steps:
                yield "a runbook's step", step.title
    for note in state.notes:
        if note.get("kind") == ActorKind.AGENT.value:
            yield "an agent's note", str(note["text"])


def _was_found(runbook: Runbook, state: State) -> bool:
    """Say whether this incident led to a runbook: it was followed, or fits what was diagnosed."""
    considered = state.plan_considered
    names = {considered.get("runbook"), considered.get("read"), *considered.get("alternatives", ())}
    followed = state.plan is not None and runbook.name == state.plan.runbook
    return followed or runbook.name in names or state.incident_type in runbook.match.incident_types


def _plain(text: str) -> str:
    """Leave out case, spaces, punctuation and how a letter is drawn."""
    plain = unicodedata.normalize("NFKC", text).casefold()
    return "".join(each for each in plain if each.isalnum())
