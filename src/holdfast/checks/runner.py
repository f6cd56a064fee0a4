"""Runs the checks side by side and turns whatever happens into a reading.

A check that hangs or raises is `down` with the reason. It never delays the
others, and one that still hangs from an earlier round isn't started again.
"""

from collections.abc import Callable, Sequence
from functools import partial

from holdfast.checks.parallel import Answer, Hanging, ParallelRuns, Raised
from holdfast.checks.plain import plain
from holdfast.kernel.clock import Clock, SystemClock, format_at
from holdfast.kernel.errors import BadInputError, NotFoundError
from holdfast.kernel.redact import bounded
from holdfast.response.ports import Check, CheckContext, CheckResult, Health

SUMMARY_CHARS_MAX = 500


class CheckRunner:
    """Keep one for as long as the process lives: it remembers which checks still hang."""

    def __init__(
        self, checks: Sequence[Check], *, timeout_s: float = 10.0, clock: Clock | None = None
    ) -> None:
        if not timeout_s > 0:
            raise BadInputError(
                f"checks.timeout_s is {timeout_s:g}; a check needs more than 0 seconds",
                field="checks.timeout_s",
            )
        self._checks = {check.name: check for check in checks}
        self._clock = clock or SystemClock()
        self._runs: ParallelRuns[str, CheckResult] = ParallelRuns(
            timeout_s=timeout_s, name="check", clock=self._clock
        )

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self._checks)

    def run(
        self, context: CheckContext, names: Sequence[str] | None = None
    ) -> dict[str, CheckResult]:
        """Run all checks, or those named, and return their results in the order of the line-up."""
        wanted = self._wanted(names)
        jobs: dict[str, Callable[[], CheckResult]] = {
            check.name: partial(check.run, context) for check in wanted
        }
        answers = self._runs.run(jobs)
        return {name: self._reading(name, answer) for name, answer in answers.items()}

    def _wanted(self, names: Sequence[str] | None) -> list[Check]:
        if unknown := [name for name in names or () if name not in self._checks]:
            raise NotFoundError(
                f"no check is called {unknown[0]!r};"
                f" known here: {', '.join(self._checks) or 'none'}"
            )
        return [c for name, c in self._checks.items() if names is None or name in names]

    def _reading(self, name: str, answer: Answer[CheckResult]) -> CheckResult:
        match answer.result:
            case Hanging() as hanging:
                return self._down(name, self._hang_text(hanging), answer.took_s, hanging)
            case Raised(error=error):
                text = f"the check failed: {_words(error)}"
                return self._down(name, bounded(text, limit=SUMMARY_CHARS_MAX), answer.took_s)
            case result:
                return CheckResult(
                    name=name,
                    status=result.status,
                    summary=bounded(result.summary, limit=SUMMARY_CHARS_MAX),
                    at=result.at,
                    data=plain(result.data),
                    took_s=answer.took_s,
                )

    def _hang_text(self, hanging: Hanging) -> str:
        if hanging.earlier:
            return f"still hanging since {format_at(hanging.since)}; not started again"
        return f"no answer within {self._runs.timeout_s:g} s"

    def _down(
        self, name: str, text: str, took_s: float, hanging: Hanging | None = None
    ) -> CheckResult:
        data = {"error": text}
        if hanging is not None:
            data["hanging_since"] = format_at(hanging.since)
        return CheckResult(
            name=name,
            status=Health.DOWN,
            summary=text,
            at=self._clock.now(),
            data=data,
            took_s=took_s,
        )


def _words(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return text if isinstance(error, BadInputError) else f"{type(error).__name__}: {text}"


def run_checks(
    checks: Sequence[Check],
    context: CheckContext,
    timeout_s: float = 10.0,
    clock: Clock | None = None,
) -> dict[str, CheckResult]:
    """Run `checks` once. A process that runs them again and again keeps a CheckRunner instead."""
    return CheckRunner(checks, timeout_s=timeout_s, clock=clock).run(context)
