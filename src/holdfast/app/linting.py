"""Lints a folder of runbooks with what this installation knows: its actions, its files."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from holdfast.actions import build_actions
from holdfast.app.installation import runbook_files
from holdfast.kernel.catalogue import Catalogue
from holdfast.runbooks import lint
from holdfast.verification import parse_expectation


def lint_folder(folder: Path) -> list[dict[str, Any]]:
    """Check every runbook of a folder; a file that can't be parsed is one finding."""
    actions = build_actions(Catalogue(services={}))
    known = {name: action.least_impact for name, action in actions.items()}
    return [
        {"path": str(path), **finding.as_data()}
        for path in runbook_files(folder)
        for finding in lint(
            path.read_bytes(),
            known,
            path=str(path),
            check_criterion=parse_expectation,
            link_exists=_link_check(path),
        )
    ]


def _link_check(path: Path) -> Callable[[str], bool]:
    return lambda target: (path.parent / target).exists()
