"""The code of a release, loaded from where the `current` link points.

Rule: the link is read at every use, so a switch takes effect with the next
request and no restart; a release that is loaded once stays loaded, because a
release directory never changes.
"""

import os
from collections.abc import Callable
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any


class Release:
    """Follows one service's `current` link."""

    def __init__(self, directory: Path, on_change: Callable[[str], None]) -> None:
        self._directory = directory
        self._link = directory / "current"
        self._on_change = on_change
        self._loaded: dict[str, ModuleType] = {}
        self._version = ""

    def current(self) -> Any:  # noqa: ANN401 - what a release offers is the release's own
        """Return the module of the release that the link names now."""
        version = os.readlink(self._link)  # noqa: PTH115 - Path.readlink costs five times as much
        if version not in self._loaded:
            self._loaded[version] = self._load(version)
        if version != self._version:
            self._version = version
            self._on_change(version)
        return self._loaded[version]

    @property
    def version(self) -> str:
        return self._version

    def _load(self, version: str) -> ModuleType:
        file = self._directory / version / "release.py"
        spec = spec_from_file_location(f"release_{version}", file)
        if spec is None or spec.loader is None:
            raise ImportError(f"no release at {file}")
        module = module_from_spec(spec)
        spec.loader.exec_module(module)
        return module
