"""Every error that Holdfast raises on purpose.

An error says fact + value + next step and carries its exit code, so that each
surface (command line, HTTP) shows the same words.
"""


class HoldfastError(Exception):
    """The root. Caught at a surface (CLI, API) and nowhere else."""

    exit_code = 1

    def __init__(self, message: str, *, field: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.field = field


class BadInputError(HoldfastError):
    """Something given to us can't be read or makes no sense: configuration, a file, an argument."""

    exit_code = 2


class RefusedError(HoldfastError):
    """A well-formed request that may not be carried out: scope, policy, state."""


class NotFoundError(HoldfastError):
    """The thing named does not exist."""


class IllegalTransitionError(HoldfastError):
    """An event arrived in a state that has no row for it. This is our bug."""


class StaleFenceError(HoldfastError):
    """Another worker holds the incident now, or its chain has moved on. Nothing was written."""


class LedgerUnavailableError(HoldfastError):
    """The store can't take a record (disk full, I/O error). Nothing was acknowledged."""
