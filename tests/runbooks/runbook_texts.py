"""Texts of runbooks that several tests read."""

STEP = """\
action: restart_service
target: ${instance}
when:
  - checks.service_status.status == "down"
expect:
  - up{service="${entity}"} == 1 for 6s in each region
retries: 1
cooldown: 30s
timeout: 10s
impact: low
undo: stop it again
"""


def runbook_text(
    *, front: str = "name: restart\nowner: team-a\nmatch: {incident_type: [down]}", step: str = STEP
) -> str:
    """Write a runbook with one step at line 22 when the front matter has three lines."""
    return (
        f"---\n{front}\n---\n"
        "## Meaning\n\nIt is down.\n\n## Impact\n\nBad.\n\n## Diagnosis\n\nLook.\n\n"
        f"## Mitigation\n\n### Restart it\n\n```yaml step\n{step}```\n"
    )
