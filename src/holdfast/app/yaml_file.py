"""Reads one YAML file as plain data, and knows on which line each field stands.

As strict as a runbook is read, by the same loader: no key twice (the second would silently
win), no aliases and no deep nesting (a few lines of them can fill the memory).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from holdfast.kernel.errors import BadInputError
from holdfast.runbooks.strict_yaml import StrictLoader, problem_words

_SIZE_MAX = 5_000_000


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


def read_yaml(path: Path) -> YamlFile:
    """Read one file. Raises BadInputError with file, line, column and next step."""
    text = _text(path)
    try:
        loader = StrictLoader(text)
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
            f"can't read {path}: {error.strerror}; correct its name, run"
            f" `holdfast init {path.parent}`, or give --dir"
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


def _mark(error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    return f":{mark.line + 1}:{mark.column + 1}" if mark else ""


def _problem(error: yaml.YAMLError) -> str:
    if isinstance(error, yaml.reader.ReaderError):
        return "this is not YAML text (it holds control characters); name the right file"
    if isinstance(error, yaml.MarkedYAMLError):
        return " ".join(problem_words(error).split())
    return "this is not YAML; correct it"
