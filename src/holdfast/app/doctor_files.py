"""Looks at the installation's own files: who can read and change them, and is there room.

Whoever can write here decides what Holdfast does, and whoever can read a key can sign in its name.
"""

import os
import shutil
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

from holdfast.app import audit, heads
from holdfast.app.config import CONFIG_NAME
from holdfast.app.doctor_findings import (
    Finding,
    Level,
    Look,
    Probe,
    failed,
    fine,
    found,
    judge_owner,
    judge_place_rights,
    judge_secret_rights,
)
from holdfast.app.secret_file import key_place
from holdfast.app.yaml_file import read_yaml
from holdfast.kernel.redact import redact

_AREA = "files"
_FREE_LEAST = 100_000_000
_FREE_LOW = 1_000_000_000
_SECRET_NAMES = frozenset({"token", "password"})
_OTHERS_READ = 0o044


def file_probes(look: Look) -> Iterator[Probe]:
    """List what there is to look at among the files."""
    installation = look.installation
    directory = installation.directory
    # Whoever runs Holdfast may be somebody else than the one who asks the doctor.
    ours = frozenset({0, os.geteuid(), directory.stat().st_uid})
    for what, path in (
        ("directory", directory),
        (CONFIG_NAME, directory / CONFIG_NAME),
        (installation.config.catalogue, directory / installation.config.catalogue),
    ):
        yield Probe(area=_AREA, what=what, look=partial(_rights, what, path, ours))
    folder = directory / installation.config.runbooks
    yield Probe(area=_AREA, what="runbooks", look=partial(_runbooks, folder, ours))
    for name, variable in (
        (heads.KEY_NAME, heads.KEY_VARIABLE),
        (audit.KEY_NAME, audit.KEY_VARIABLE),
    ):
        place, _ = key_place(directory, name, variable)
        yield Probe(area=_AREA, what=name, look=lambda w=name, p=place: _key(w, p))  # type: ignore[misc]
    yield Probe(area=_AREA, what="secrets", look=lambda: _plain_secrets(directory / CONFIG_NAME))
    yield Probe(area=_AREA, what="free space", look=lambda: [_room(directory)])


def _rights(what: str, path: Path, ours: frozenset[int]) -> Iterator[Finding]:
    yield _judged(what, path, ours)
    if path.is_dir() and not os.access(path, os.W_OK):
        yield found(
            what,
            Level.ERROR,
            f"{path} can't be written by us",
            "run Holdfast as the user that owns it",
        )


def _judged(what: str, path: Path, ours: frozenset[int]) -> Finding:
    facts = path.stat()
    return judge_owner(what, facts.st_uid, ours) or judge_place_rights(what, facts.st_mode)


def _runbooks(folder: Path, ours: frozenset[int]) -> Iterator[Finding]:
    """A runbook is what is done by itself: nobody else may write one."""
    places = [folder, *sorted(path for path in folder.rglob("*") if not path.is_symlink())]
    judged = [_judged(str(p.relative_to(folder.parent)), p, ours) for p in places]
    bad = [finding for finding in judged if finding.level is not Level.OK]
    yield from bad or [fine("runbooks", f"{len(places) - 1} files, which only we can change")]


def _key(what: str, path: Path) -> Iterator[Finding]:
    try:
        mode = path.stat().st_mode
    except OSError as error:
        yield failed(
            what, f"{path}: {error.strerror}; put it back from its backup, or run `holdfast init`"
        )
        return
    yield judge_secret_rights(what, mode)


def _plain_secrets(path: Path) -> Iterator[Finding]:
    """Find secrets that stand in the file itself; what they are is never told."""
    plain = list(_secrets(read_yaml(path).data, ""))
    if not plain:
        yield fine("secrets", f"none stands in {path.name}")
        return
    level = Level.UNSAFE if path.stat().st_mode & _OTHERS_READ else Level.WARNING
    readable = ", which others can read" if level is Level.UNSAFE else ""
    yield found(
        "secrets",
        level,
        f"written out in {path.name}{readable}: {', '.join(plain)}",
        "write ${NAME} there and set it in the environment",
    )


def _secrets(value: object, field: str) -> Iterator[str]:
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _secrets(item, f"{field}.{key}" if field else str(key))
    elif isinstance(value, list):
        for number, item in enumerate(value):
            yield from _secrets(item, f"{field}.{number}")
    elif isinstance(value, str) and "${" not in value and _is_secret(field, value):
        yield field


def _is_secret(field: str, value: str) -> bool:
    return field.rpartition(".")[2] in _SECRET_NAMES or redact(value) != value


def _room(directory: Path) -> Finding:
    free = shutil.disk_usage(directory).free
    shown = f"{free / 1e9:.1f} GB where the ledger is"
    if free >= _FREE_LOW:
        return fine("free space", shown)
    level = Level.ERROR if free < _FREE_LEAST else Level.WARNING
    return found("free space", level, shown, "free some: what can't be recorded is not done")
