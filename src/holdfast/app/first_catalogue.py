"""Begins a catalogue with what a Prometheus scrapes: one service for each job, in its regions.

A start for a person to go on from. It asks only for `up`, which every engine has, and guesses
nothing: what a job's errors are and what it depends on, nobody has written down.
"""

import json
import re
from collections.abc import Mapping, Sequence
from datetime import datetime

from holdfast.app.addresses import check_http
from holdfast.app.strict import NAME
from holdfast.kernel.errors import BadInputError
from holdfast.sources import PrometheusClient, PrometheusSettings, QueryError

_REGION_LABELS = ("region", "cluster", "datacenter")
_TIMEOUT_S = 10.0
_LOOKBACK_S = 300.0
_ODD = re.compile(r"[^A-Za-z0-9._-]+")
_HEAD = """\
# The service catalogue, begun with the jobs that Prometheus scrapes. Rename, merge and take away;
# then say for each what its golden signals are (errors, latency, traffic, saturation), what it
# depends on and who is on call. Every field is in docs/reference/configuration.md. For example:
#
#     depends_on: [my-database]
#     on_call: dana
#     metrics:
#       errors:
#         query: |
#           sum(rate(http_requests_total{job="my-api",region="{region}",code=~"5.."}[2m]))
#             / sum(rate(http_requests_total{job="my-api",region="{region}"}[2m]))
#
# contacts:
#   dana: {name: Dana Example, role: on-call, page: [console, webhook]}
contacts: {}
services:
"""


def first_catalogue(url: str, now: datetime) -> str:
    """Write services.yaml for the jobs of a Prometheus. Raises BadInputError with the reason."""
    settings = PrometheusSettings(url=_checked(url), timeout_s=_TIMEOUT_S, lookback_s=_LOOKBACK_S)
    client = PrometheusClient(settings)
    try:
        labels = ", ".join(("job", *_REGION_LABELS))
        found = client.series(f"count by ({labels}) (up)", now)
    except QueryError as error:
        raise BadInputError(f"Prometheus {error.message}", field="from-prometheus") from None
    finally:
        client.close()
    services = write_services([labels for labels, _ in found])
    if not services:
        raise BadInputError(
            "Prometheus scrapes no job now, so there is nothing to begin with; leave out "
            "--from-prometheus",
            field="from-prometheus",
        )
    return _HEAD + services


def with_prometheus(text: str, url: str) -> str:
    """Put the engine's address into the text of a new holdfast.yaml."""
    return text.replace(
        "# prometheus:\n#   url: http://127.0.0.1:9090\n",
        f"prometheus:\n  url: {json.dumps(url)}\n",
        1,
    )


def write_services(found: Sequence[Mapping[str, str]]) -> str:
    """Write an entry for each job that has a name, with its regions where all its series say."""
    jobs: dict[str, list[Mapping[str, str]]] = {}
    for labels in found:
        if labels.get("job"):
            jobs.setdefault(labels["job"], []).append(labels)
    texts: dict[str, str] = {}
    for job in sorted(jobs):
        name = _ODD.sub("-", job).strip("-._")[:63]
        if re.fullmatch(NAME, name) and name not in texts and _is_plain(job):
            texts[name] = _service(name, job, jobs[job])
    return "".join(texts.values())


def _service(name: str, job: str, found: Sequence[Mapping[str, str]]) -> str:
    label = next((each for each in _REGION_LABELS if _names_regions(found, each)), None)
    regions = sorted({labels[label] for labels in found}) if label else []
    matchers = f'job="{job}"' + (f',{label}="{{region}}"' if label else "")
    where = f"    regions: [{', '.join(regions)}]\n" if regions else ""
    return (
        f"  - name: {name}\n"
        f"{where}"
        "    metrics:\n"
        f"      reachable: {{query: 'min(up{{{matchers}}})'}}\n"
        "    limits:\n"
        "      reachable: {below: 1}\n"
    )


def _names_regions(found: Sequence[Mapping[str, str]], label: str) -> bool:
    return all(re.fullmatch(NAME, labels.get(label, "")) for labels in found)


def _is_plain(job: str) -> bool:
    return job.isprintable() and not set(job) & set("\"'\\{}")


def _checked(url: str) -> str:
    try:
        return check_http(url)
    except ValueError as error:
        raise BadInputError(f"--from-prometheus: {error}", field="from-prometheus") from None
