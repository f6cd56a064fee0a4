"""Reads one YAML file as plain data, and knows on which line each field stands.

Strict where YAML is surprising: no key twice (the second would silently win), no aliases and
no deep nesting (a few lines of them can fill the memory).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from holdfast.kernel.errors import BadInputError

_SIZE_MAX = 5_000_000
_DEPTH_MAX = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class YamlFile:
    """One file's data. `at` names a field's place as `path:line`."""

    path: Path
    data: Any
    root: Node | None

    def at(self, field: Sequence[int | str]) -> str:
        """Say where a field stands, or the nearest thing around it that does."""
        node, line = self.root, None
        for part in field:
            found = _inside(node, part)
            if found is None:
                break
            key, node = found
            line = key.start_mark.line + 1
        return f"{self.path}:{line}" if line else str(self.path)

    def value(self, field: Sequence[int | str]) -> Any:  # noqa: ANN401 - any YAML value
        """Give a field as it was written, before anything was filled in from the environment."""
        value = self.data
        for part in field:
            try:
                value = value[part]
            except (KeyError, IndexError, TypeError):
                return None
        return value


class _Loader(yaml.SafeLoader):
    """A safe loader that refuses what a configuration never needs."""

    depth = 0

    def compose_node(self, parent: Node | None, index: int) -> Node | None:
        event = self.peek_event()  # type: ignore[no-untyped-call] # the stubs leave it untyped
        if isinstance(event, yaml.AliasEvent):
            raise _refusal(f"the alias *{event.anchor} is not allowed; write it out", event)
        self.depth += 1
        if self.depth > _DEPTH_MAX:
            raise _refusal(f"nested deeper than {_DEPTH_MAX} levels; make it flat", event)
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node

    def construct_mapping(self, node: MappingNode, deep: bool = False) -> dict[Any, Any]:  # noqa: FBT001, FBT002 - PyYAML's signature
        seen: set[Any] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, str):
                raise _refusal(f"the key {key!r} is no text; put it in quotes", key_node)
            if key in seen:
                raise _refusal(f"the key {key!r} is there twice; take one away", key_node)
            seen.add(key)
        return super().construct_mapping(node, deep=deep)


def read_yaml(path: Path) -> YamlFile:
    """Read one file. Raises BadInputError with file, line, column and next step."""
    text = _text(path)
    try:
        loader = _Loader(text)
        try:
            root = loader.get_single_node()
            data = loader.construct_document(root) if root is not None else {}
        finally:
            loader.dispose()
    except yaml.YAMLError as error:
        raise BadInputError(f"{path}{_mark(error)}: {_problem(error)}") from None
    except ValueError as error:
        # A date such as 2026-13-45, a number such as 0b2: YAML has ideas about plain words.
        raise BadInputError(f"{path}: {error}; put the value in quotes") from None
    return YamlFile(path=path, data={} if data is None else data, root=root)


def _text(path: Path) -> str:
    try:
        size = path.stat().st_size
        if size > _SIZE_MAX:
            raise BadInputError(
                f"{path} has {size} bytes, more than {_SIZE_MAX}: it is another kind of file; "
                "name the right one"
            )
        return path.read_bytes().decode()
    except OSError as error:
        raise BadInputError(
            f"can't read {path}: {error.strerror}; run `holdfast init {path.parent}` or give --dir"
        ) from None
    except UnicodeDecodeError as error:
        raise BadInputError(
            f"{path} is not UTF-8 text (byte {error.start}); save it as UTF-8"
        ) from None


def _inside(node: Node | None, part: int | str) -> tuple[Node, Node] | None:
    if isinstance(node, SequenceNode) and isinstance(part, int) and part < len(node.value):
        return node.value[part], node.value[part]
    if isinstance(node, MappingNode):
        for key, value in node.value:
            if isinstance(key, ScalarNode) and key.value == str(part):
                return key, value
    return None


def _refusal(text: str, place: yaml.Event | Node) -> yaml.MarkedYAMLError:
    mark: Any = place.start_mark  # the stubs know three kinds of mark, the constructor one
    return yaml.MarkedYAMLError(problem=text, problem_mark=mark)


def _mark(error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    return f":{mark.line + 1}:{mark.column + 1}" if mark else ""


def _problem(error: yaml.YAMLError) -> str:
    if isinstance(error, yaml.reader.ReaderError):
        return "this is not YAML text (it holds control characters); name the right file"
    problem = " ".join(str(getattr(error, "problem", None) or "this is not YAML").split())
    if r"\t" in problem:
        return "a tab where YAML wants spaces; indent with spaces"
    if "could not determine a constructor" in problem:
        return f"{problem}; tags are not allowed, take it away"
    return problem if ";" in problem else f"{problem}; correct the YAML there"
