"""Looks at standing boundaries: whether anybody can answer for each, and would be told."""

from collections.abc import Iterator

from holdfast.app.doctor_findings import Finding, Level, fine, found
from holdfast.app.installation import Installation

_WHAT = "boundaries"


def judge_boundaries(installation: Installation) -> Iterator[Finding]:
    """Name the boundaries that nobody could answer for, and those nobody would be told of."""
    config, catalogue = installation.config, installation.catalogue
    for each in config.boundaries:
        contact = catalogue.contacts[each.authority]
        what = f"{each.action} on {each.target} is {each.authority}'s"
        if not contact.members:
            yield found(
                _WHAT,
                Level.WARNING,
                f"{what}, and nobody speaks for {each.authority}: it can't be approved or accepted",
                f"list the names of their tokens as `members` of contact {each.authority}",
            )
        elif contact.page == ("webhook",) and config.notify.webhook is None:
            yield found(
                _WHAT,
                Level.WARNING,
                f"{what}, who are paged by webhook, and none is set",
                "set notify.webhook, so that a handoff reaches them",
            )
        else:
            yield fine(_WHAT, f"{what} ({', '.join(contact.members)})")
