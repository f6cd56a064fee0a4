"""YAML with everything surprising taken out.

No aliases (a few lines of them can fill the memory), no duplicate keys, no tags, no tabs, no deep
nesting; `on` and `no` are words, `1:30` is text and only `true` and `false` are booleans.
"""

import re
from typing import Any

import yaml
from yaml.nodes import MappingNode, Node

from holdfast.runbooks.errors import RunbookError

DEPTH_MAX = 12


class StrictLoader(yaml.SafeLoader):
    """A safe loader that refuses what a runbook or a configuration never needs."""

    depth = 0

    def compose_node(self, parent: Node | None, index: int) -> Node | None:
        event = self.peek_event()  # type: ignore[no-untyped-call] # the stubs leave it untyped
        if isinstance(event, yaml.AliasEvent):
            raise _refusal(f"the alias *{event.anchor} is not allowed", event, "write it out")
        if getattr(event, "anchor", None):
            raise _refusal(f"the anchor &{event.anchor} is not allowed", event, "take it away")
        self.depth += 1
        if self.depth > DEPTH_MAX:
            raise _refusal(f"nested deeper than {DEPTH_MAX} levels", event, "make it flat")
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node

    def construct_mapping(self, node: MappingNode, deep: bool = False) -> dict[Any, Any]:  # noqa: FBT001, FBT002 - PyYAML's signature
        seen: set[Any] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, str):
                raise _refusal(f"the key {key!r} is no text", key_node, "put it in quotes")
            if key in seen:
                raise _refusal(f"the key {key!r} is there twice", key_node, "take one away")
            seen.add(key)
        return super().construct_mapping(node, deep=deep)


_WORDS_ONLY = {
    "tag:yaml.org,2002:bool": r"true|false",
    "tag:yaml.org,2002:null": r"null|~|",
    "tag:yaml.org,2002:int": r"[-+]?(?:0|[1-9][0-9]{0,17})",
    "tag:yaml.org,2002:float": r"[-+]?[0-9]{1,18}(?:\.[0-9]{1,18})?(?:[eE][-+]?[0-9]{1,3})?",
}
StrictLoader.yaml_implicit_resolvers = {}
for _tag, _pattern in _WORDS_ONLY.items():
    StrictLoader.add_implicit_resolver(_tag, re.compile(rf"^(?:{_pattern})$"), None)


def _refusal(fact: str, place: yaml.Event | Node, advice: str) -> yaml.MarkedYAMLError:
    mark: Any = place.start_mark  # the stubs know three kinds of mark, the constructor one
    return yaml.MarkedYAMLError(problem=f"{fact}; {advice}", problem_mark=mark)


def load_mapping(text: str, *, path: str, first_line: int, what: str) -> dict[str, Any]:
    """Read one mapping; `first_line` is the line of the file at which `text` begins.

    Raises RunbookError with the line in the file.
    """
    try:
        value = yaml.load(text, Loader=StrictLoader)  # noqa: S506 - a SafeLoader, made stricter
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = first_line + (mark.line if mark else 0)
        raise RunbookError(path, line, f"{what}: {problem_words(error)}") from None
    except (yaml.YAMLError, ValueError) as error:
        fact = str(error).splitlines()[0]
        raise RunbookError(path, first_line, f"{what} can't be read: {fact}; correct it") from None
    if not isinstance(value, dict):
        raise RunbookError(path, first_line, f"{what} is {_kind(value)}; write `key: value` lines")
    return value


def problem_words(error: yaml.MarkedYAMLError) -> str:
    """Say what is wrong, with what to do about it."""
    problem = error.problem or "can't be read"
    if r"\t" in problem or "'\\t'" in problem:
        return "a tab where YAML wants spaces; indent with spaces"
    if "could not determine a constructor" in problem:
        return f"{problem}; tags are not allowed, take it away"
    return problem if ";" in problem else f"{problem}; correct the YAML"


def _kind(value: object) -> str:
    return "empty" if value is None else f"{value!r:.60}, not a mapping"
