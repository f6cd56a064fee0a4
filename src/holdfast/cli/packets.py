"""incident packet: what a successor needs, as it stands now."""

from holdfast.cli import output
from holdfast.cli.options import HERE, Dir, Incident, Json


def packet(incident_id: Incident, *, directory: Dir = HERE, as_json: Json = False) -> None:
    """Show the takeover packet: all that a successor needs.

    For example:
      holdfast incident packet INC-1
    """
    from holdfast.app.commanding import current_packet
    from holdfast.app.desk import Desk
    from holdfast.escalation import packet_markdown

    with Desk(directory) as desk:
        found = current_packet(desk, incident_id)
    if as_json:
        output.document(found)
    else:
        output.line(packet_markdown(found))
