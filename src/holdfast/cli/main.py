"""The commands, gathered; and the one place where errors become exit codes."""

import os
import sys

import click
import typer

from holdfast.cli import incidents, installation, respond, runbooks, sandboxed, tokens
from holdfast.kernel.errors import HoldfastError

APP = typer.Typer(
    name="holdfast",
    help="Incident response that holds fast: detect, diagnose, recover, verify, hand over.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

for module in (installation, sandboxed, incidents, respond, runbooks, tokens):
    module.add_to(APP)


def main(argv: list[str] | None = None) -> None:
    """Run one command and exit with its code."""
    try:
        code = APP(args=argv, standalone_mode=False)
    except HoldfastError as error:
        _say(error.message)
        sys.exit(error.exit_code)
    except click.exceptions.NoArgsIsHelpError as error:
        sys.stdout.write(error.format_message() + "\n")
        sys.exit(0)
    except click.ClickException as error:
        _say(f"{error.format_message()} Run `holdfast {_path(error)}--help` for an example.")
        sys.exit(2)
    except (click.Abort, KeyboardInterrupt):
        _say("stopped by you; nothing more is done")
        sys.exit(130)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(1)
    except Exception as error:
        if os.environ.get("HOLDFAST_DEBUG"):
            raise
        _say(
            f"an error that Holdfast did not expect: {type(error).__name__}: {error}; "
            "run it again with HOLDFAST_DEBUG=1 for the traceback and report it"
        )
        sys.exit(1)
    sys.exit(code if isinstance(code, int) else 0)


def _path(error: click.ClickException) -> str:
    context = getattr(error, "ctx", None)
    words = context.command_path.split()[1:] if context else []
    return " ".join([*words, ""]) if words else ""


def _say(text: str) -> None:
    from holdfast.kernel.redact import redact

    sys.stderr.write(f"holdfast: {redact(text)}\n")
