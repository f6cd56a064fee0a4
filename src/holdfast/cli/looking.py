"""incident look: how everything is right now, region by region."""

from collections.abc import Iterator, Mapping
from typing import Any

from holdfast.cli import output
from holdfast.cli.options import HERE, Dir, Incident, Json, Key


def look(
    incident_id: Incident, *, key: Key = None, directory: Dir = HERE, as_json: Json = False
) -> None:
    """Look afresh: all checks, every target touched.

    What is found is recorded. Nothing is changed.

    For example:
      holdfast incident look INC-1
    """
    from holdfast.app.desk import Desk

    with Desk(directory) as desk:
        answer = desk.ask(incident_id, "look", {}, key=key)
    if as_json:
        told = {"incident_id": incident_id, "ok": answer.ok, "message": answer.message}
        output.document({**told, **answer.data})
    else:
        output.fitted(look_text(incident_id, answer.message, answer.data))


def look_text(incident_id: str, message: str, told: Mapping[str, Any]) -> Iterator[str]:
    """Write what a look found: region by region, then the checks, then what was touched."""
    yield f"{incident_id}: {message}"
    for region, services in told["regions"].items():
        yield ""
        yield f"{region} at {told['at'][11:19]} UTC"
        for service, readings in services.items():
            values = ", ".join(
                f"{signal} {'no value' if r['value'] is None else format(r['value'], 'g')}"
                for signal, r in readings.items()
            )
            yield f"  {service}: {values}"
    yield ""
    for name, check in told["checks"].items():
        yield f"  check {name}: {check['status']}, {check['summary']}"
    for target, found in told["targets"].items():
        yield f"  {target}: {found['text']}"
