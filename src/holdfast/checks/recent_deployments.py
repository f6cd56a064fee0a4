"""Says what changed shortly before the trouble began.

Most incidents follow a change, so the newest deployment shortly before the onset,
on a service in question or one it depends on, is a suspect. A suspect is a lead,
not a verdict: diagnosis weighs it.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from holdfast.checks.deployment_history import Deployment, DeploymentHistory
from holdfast.kernel.catalogue import Catalogue
from holdfast.response.ports import CheckContext, CheckResult, Health


class RecentDeployments:
    """Degraded when there is a suspect.

    `allowance_s` lets a deployment be a little later than the onset, as the onset
    is only known to a sampling interval and clocks differ.
    """

    name = "recent_deployments"

    def __init__(
        self,
        history: DeploymentHistory,
        catalogue: Catalogue,
        *,
        window_s: float = 7200.0,
        suspect_s: float = 3600.0,
        allowance_s: float = 60.0,
    ) -> None:
        self._history = history
        self._catalogue = catalogue
        self._window_s = window_s
        self._suspect_s = suspect_s
        self._allowance_s = allowance_s

    def run(self, context: CheckContext) -> CheckResult:
        # An old incident is looked at again: what matters is what was recent when it began.
        began = min(context.now - timedelta(seconds=self._window_s), self._earliest(context))
        deployments = self._history.since(began)
        suspect = self._suspect(deployments, context)
        return CheckResult(
            name=self.name,
            status=Health.DEGRADED if suspect else Health.HEALTHY,
            summary=self._summary(deployments, suspect, context),
            at=context.now,
            data={
                "deployments": [d.as_data(now=context.now) for d in deployments],
                "suspect": suspect.as_data(now=context.now) if suspect else None,
            },
        )

    def _earliest(self, context: CheckContext) -> datetime:
        return context.started_at - timedelta(seconds=self._suspect_s)

    def _suspect(
        self, deployments: Sequence[Deployment], context: CheckContext
    ) -> Deployment | None:
        latest = context.started_at + timedelta(seconds=self._allowance_s)
        services = in_question(self._catalogue, context.services)
        return next(
            (
                d
                for d in deployments
                if d.service in services and self._earliest(context) <= d.deployed_at <= latest
            ),
            None,
        )

    def _summary(
        self, deployments: Sequence[Deployment], suspect: Deployment | None, context: CheckContext
    ) -> str:
        hours = self._window_s / 3600
        if suspect is None:
            if not deployments:
                return f"nothing was deployed in the last {hours:g} hours"
            return (
                f"{len(deployments)} deployments in the last {hours:g} hours, none of a service"
                " in question shortly before the trouble began"
            )
        before_s = (context.started_at - suspect.deployed_at).total_seconds()
        when = f"{before_s:.0f} s before" if before_s >= 0 else f"{-before_s:.0f} s after"
        return (
            f"{suspect.service} {suspect.version} was deployed {when} the trouble began"
            f" by {suspect.deployed_by or 'somebody unnamed'}"
            f", in place of {suspect.previous_version or 'an unnamed version'}"
        )


def in_question(catalogue: Catalogue, services: Sequence[str]) -> tuple[str, ...]:
    """List the services themselves and what they depend on, each once."""
    upstream = (name for service in services for name in catalogue.dependencies(service))
    return tuple(dict.fromkeys([*services, *upstream]))
