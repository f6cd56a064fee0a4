"""Says which program may be run at all: an absolute path that nobody else can exchange.

An interpreter, or a program that starts others, would make the arguments the program; so it is
refused, also behind a link. The whole way to the file is looked at, link by link, when the
configuration is read and again before each run.
"""

import filecmp
import os
import re
import stat
import sys
from pathlib import Path

LINKS_MAX = 40
ARGUMENTS_MAX = 64
ARGUMENT_CHARS_MAX = 4096
_OTHERS_MAY_WRITE = stat.S_IWOTH

# Programs whose arguments are a program, or name one.
_INTERPRETERS = re.compile(
    r"(?:r?(?:ba|da|a|k|mk|pdk|z|fi|c|tc|ya)?sh|busybox|toybox|pwsh|powershell|osascript"
    r"|i?python|pypy|perl|ruby|php|lua|luajit|tclsh|wish|expect|node|nodejs|deno|bun|java|Rscript"
    r"|awk|gawk|mawk|nawk|original-awk|sed|ed|ex|vi|vim|emacs|m4|make|gmake)[0-9._-]*"
    r"|env|sudo|doas|su|runuser|pkexec|setpriv|chroot|nsenter|unshare|capsh|systemd-run"
    r"|perl[0-9.]+-.*|xargs|parallel|find|nice|ionice|chrt|nohup|timeout|setsid|stdbuf|time|watch|flock|script"
    r"|screen|tmux|strace|ltrace|gdb|at|batch|crontab|ssh|nc|ncat|socat|ld[.-].*"
)
_PLACES_OF_INTERPRETERS = ("/bin", "/usr/bin", "/usr/local/bin")
_HARD = (
    "sh",
    "bash",
    "dash",
    "zsh",
    "ksh",
    "busybox",
    "python3",
    "perl",
    "ruby",
    "node",
    "env",
    "sudo",
    "awk",
)


def check_executable(path: str) -> str:
    """Return a path that may be run. Raises ValueError that says what is wrong with it."""
    if not path or not Path(path).is_absolute() or os.path.normpath(path) != path:
        raise ValueError(f"{path!r} is no plain absolute path; write /opt/tools/NAME")
    real = _followed(path)
    seen = Path(real).stat()
    if not stat.S_ISREG(seen.st_mode) or not os.access(real, os.X_OK):
        raise ValueError(f"{real} is no file that can be run; make it executable, or correct it")
    if why := _same_as_an_interpreter(real, seen):
        raise ValueError(f"{path} is {why}, whose arguments would be the program; name the program")
    return path


def identity_of(path: str) -> str:
    """Name which file that is now, so that another one in its place is noticed."""
    seen = Path(path).stat()
    return f"{seen.st_dev}:{seen.st_ino}:{seen.st_size}:{seen.st_mtime_ns}"


def _followed(path: str) -> str:
    """Go the way to the file as the kernel does, and look at every directory and link of it."""
    here, ahead, links = "/", list(reversed(Path(path).parts[1:])), 0
    _look("/", path)
    while ahead:
        name = ahead.pop()
        if name == "..":
            here = os.path.dirname(here)  # noqa: PTH120 - text, not a path to be resolved
            continue
        place = os.path.join(here, name)  # noqa: PTH118 - as above
        if not ahead:
            _refuse_interpreter(path, name)
        try:
            seen = os.lstat(place)
        except OSError as error:
            raise ValueError(f"{place} can't be read: {error.strerror}; correct the path") from None
        if stat.S_ISLNK(seen.st_mode):
            _owned(place, path, seen)
            links += 1
            if links > LINKS_MAX:
                raise ValueError(f"{path} leads over more than {LINKS_MAX} links")
            target = Path(place).readlink()
            here = "/" if target.is_absolute() else here
            ahead += [part for part in reversed(target.parts) if part != "/"]
            continue
        _look(place, path)
        here = place
    return here


def _look(place: str, path: str) -> None:
    seen = os.lstat(place)
    _owned(place, path, seen)
    # In a sticky directory only the owner can exchange what is in it, and that is looked at too.
    sticky = stat.S_ISDIR(seen.st_mode) and seen.st_mode & stat.S_ISVTX
    if seen.st_mode & _OTHERS_MAY_WRITE and not sticky:
        raise ValueError(
            f"{place}, on the way to {path}, may be written by everybody; chmod o-w it"
        )


def _owned(place: str, path: str, seen: os.stat_result) -> None:
    if seen.st_uid not in {0, os.geteuid()}:
        raise ValueError(
            f"{place}, on the way to {path}, belongs to another user, who could exchange it; chown"
            " it to root or to the one who runs Holdfast"
        )


def _refuse_interpreter(path: str, name: str) -> None:
    if _INTERPRETERS.fullmatch(name):
        raise ValueError(
            f"{path} is {name!r}, whose arguments would be the program; name a program of your own"
        )


def _same_as_an_interpreter(path: str, seen: os.stat_result) -> str | None:
    """Find an interpreter that has only been given another name, by a hard link or as a copy."""
    known = [f"{place}/{name}" for place in _PLACES_OF_INTERPRETERS for name in _HARD]
    for each in (sys.executable, *known):
        try:
            other = Path(each).stat()
            if os.path.samestat(other, seen):
                return each
            if other.st_size == seen.st_size and filecmp.cmp(each, path, shallow=False):
                return f"a copy of {each}"
        except OSError:
            continue
    return None
