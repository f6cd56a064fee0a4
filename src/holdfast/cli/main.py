"""The commands, gathered; and the one place where errors become words and exit codes.

An error is one line on stderr. With --json it is also one document on stdout, so that a program
which reads stdout always finds JSON there.
"""

import os
import sys
from collections.abc import Sequence
from typing import Annotated, NoReturn

import typer

from holdfast.cli import (
    audit,
    commanding,
    directing,
    doctor,
    heads,
    incidents,
    installation,
    ledger,
    maintenance,
    output,
    report,
    respond,
    runbooks,
    sandboxed,
    steering,
    tokens,
)

_HELP = """Incident response that holds fast: detect, diagnose, recover, verify, hand over.

\b
For example:
  holdfast demo        watch a real platform break and recover
  holdfast init DIR    set up an installation of your own

Exit codes: 0 done, 1 a negative answer (refused, not found, not healthy), 2 bad input.
"""
_INTERRUPTED = 130
_BAD_INPUT = 2


def _version(wanted: bool) -> None:
    if wanted:
        from holdfast import __version__

        output.line(f"holdfast {__version__}")
        raise typer.Exit


def _root(
    *,
    version: Annotated[
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help="Say which version."),
    ] = False,
) -> None:
    """Take the options that stand before any command."""


APP = typer.Typer(
    name="holdfast",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
APP.callback(help=_HELP)(_root)

for module in (
    installation,
    doctor,
    sandboxed,
    incidents,
    directing,
    respond,
    commanding,
    steering,
    maintenance,
    report,
    runbooks,
    tokens,
    audit,
    heads,
    ledger,
):
    module.add_to(APP)


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Run one command and exit with its code."""
    words = list(sys.argv[1:] if argv is None else argv)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            # A terminal that can't show a character shows its number; no command fails over it.
            stream.reconfigure(errors="backslashreplace")
    try:
        code = APP(args=words, standalone_mode=False, prog_name="holdfast")
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read our answer has gone. Nobody is left to tell.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except Exception as error:
        if os.environ.get("HOLDFAST_DEBUG"):
            raise
        sys.exit(_fail(error, as_json="--json" in words))
    sys.exit(code if isinstance(code, int) else 0)


def _fail(error: Exception, *, as_json: bool) -> int:
    """Say what went wrong and return the exit code."""
    if type(error).__name__ == "NoArgsIsHelpError":
        sys.stdout.write(str(getattr(error, "message", error)).rstrip() + "\n")
        return 0
    text, code, field = _words(error)
    if as_json:
        output.failure(text, code, field)
    output.error(text)
    return code


def _words(error: Exception) -> tuple[str, int, str | None]:
    from holdfast.kernel.errors import HoldfastError

    if isinstance(error, HoldfastError):
        return error.message, error.exit_code, error.field
    if isinstance(error, typer.TyperException):
        text = " ".join(error.format_message().split())
        return f"{text} Run `{_command(error)} --help` for an example.", _BAD_INPUT, None
    if isinstance(error, typer.Abort):
        return "stopped by you; nothing more is done", _INTERRUPTED, None
    if isinstance(error, OSError):
        where = f"{error.filename}: " if error.filename else ""
        return f"{where}{error.strerror or error}; check the place and its rights", 1, None
    text = (
        f"an error that Holdfast did not expect: {type(error).__name__}: {error}; "
        "run it again with HOLDFAST_DEBUG=1 for the traceback and report it"
    )
    return text, 1, None


def _command(error: Exception) -> str:
    context = getattr(error, "ctx", None)
    return context.command_path if context else "holdfast"
