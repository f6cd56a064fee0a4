"""The names and the shape of the platform: what is called what, and how much of it there is.

Rule: pure. `Blueprint.vary(seed)` renames every service, region and metric and
reshapes traffic, noise and the faults, so that a grade which depends on a name
or on one lucky size shows itself.
"""

import random
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

# The meaning of a metric (ours) and its name on the wire (theirs).
METRICS: Mapping[str, str] = {
    "requests": "http_requests_total",
    "failures": "http_requests_failed_total",
    "duration": "http_request_duration_seconds",
    "in_flight": "http_requests_in_flight",
    "waiting": "http_requests_waiting_for_database",
    "memory": "process_resident_memory_bytes",
    "build": "build_info",
    "jobs": "jobs_processed_total",
    "job_failures": "jobs_failed_total",
    "job_duration": "job_duration_seconds",
    "queue_depth": "queue_depth",
    "queue_age": "queue_oldest_age_seconds",
    "commits": "pg_commits_total",
    "connections": "pg_connections",
    "locks_waiting": "pg_locks_waiting",
    "cache_commands": "valkey_commands_total",
    "cache_memory": "valkey_memory_used_bytes",
    "cache_clients": "valkey_connected_clients",
}

_OTHER_METRICS: tuple[Mapping[str, str], ...] = (
    {
        "requests": "calls_total",
        "failures": "calls_unsuccessful_total",
        "duration": "call_seconds",
        "in_flight": "calls_open",
        "waiting": "calls_queued_for_storage",
        "memory": "rss_bytes",
        "build": "release_info",
        "jobs": "tasks_done_total",
        "job_failures": "tasks_broken_total",
        "job_duration": "task_seconds",
        "queue_depth": "backlog_length",
        "queue_age": "backlog_oldest_seconds",
        "commits": "db_transactions_total",
        "connections": "db_sessions",
        "locks_waiting": "db_sessions_blocked",
        "cache_commands": "kv_operations_total",
        "cache_memory": "kv_bytes",
        "cache_clients": "kv_clients",
    },
    {
        "requests": "server_handled_total",
        "failures": "server_errors_total",
        "duration": "server_latency_seconds",
        "in_flight": "server_active",
        "waiting": "server_pool_waiters",
        "memory": "resident_bytes",
        "build": "version_info",
        "jobs": "consumer_messages_total",
        "job_failures": "consumer_errors_total",
        "job_duration": "consumer_latency_seconds",
        "queue_depth": "topic_depth",
        "queue_age": "topic_lag_seconds",
        "commits": "sql_commits_total",
        "connections": "sql_connections",
        "locks_waiting": "sql_waiters",
        "cache_commands": "store_commands_total",
        "cache_memory": "store_used_bytes",
        "cache_clients": "store_clients",
    },
)
_PREFIXES = ("acme", "shopfront", "orbit", "juniper", "tern", "delta9")
_DOMAINS = ("booking", "payment", "parcel", "ticket", "invoice", "claim", "voucher", "rental")
_ROLES = (
    ("gateway", "dispatcher", "store", "memo"),
    ("front", "runner", "records", "hot-keys"),
    ("edge", "consumer", "vault", "lookaside"),
    ("web", "batcher", "warehouse", "quick-read"),
)
_REGIONS = ("ap-south", "sa-east", "us-west", "ca-central", "eu-north", "af-south", "me-central")
_PEOPLE = ("Rui Prado", "Ines Falk", "Tomo Abe", "Lena Brandt", "Obi Nwosu")


@dataclass(frozen=True, slots=True, kw_only=True)
class Blueprint:
    """One platform. Rates are per region; times are in seconds.

    `failing_share` is the share of requests that come without a coupon: those are the ones the
    bad release fails. `tail_share` of requests take a heavy-tailed extra time. `client_errors`
    are refused with 4xx (the caller's fault, no failure of the service); `server_errors` are the
    rare failures that every healthy service has.

    The noise was chosen by simulation against a rolling three-sigma rule: with tails this frequent
    the 99th percentile is four times the median, and still the mean of a second exceeds four sigma
    on one second in a thousand. Rarer, longer tails (2 %, 120 ms) do so on one in a hundred, which
    no service that people would call healthy shows.
    """

    seed: int = 0
    api: str = "checkout-api"
    worker: str = "checkout-worker"
    database: str = "orders-db"
    cache: str = "session-cache"
    regions: tuple[str, ...] = ("eu-west", "us-east")
    metrics: Mapping[str, str]
    team: str = "team-checkout"
    on_call: str = "dana"
    on_call_name: str = "Dana Okoye"
    good_version: int = 7
    requests_per_s: float = 18.0
    workers: int = 3
    day_s: float = 300.0
    day_depth: float = 0.25
    work_median_s: float = 0.010
    work_sigma: float = 0.45
    tail_share: float = 0.25
    tail_max_s: float = 0.04
    client_errors: float = 0.003
    server_errors: float = 0.0002
    failing_share: float = 1 / 3
    onset_s: float = 0.0
    down_for_s: float = 6.0

    @property
    def services(self) -> tuple[str, str, str, str]:
        return (self.api, self.worker, self.database, self.cache)

    @property
    def supervised(self) -> tuple[str, str]:
        """Name the services that supervisord runs, one process per region."""
        return (self.api, self.worker)

    def names(self) -> frozenset[str]:
        """Every name that another seed must change."""
        return frozenset((*self.services, *self.regions, *self.metrics.values(), self.team))

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> "Blueprint":
        return cls(**{**document, "regions": tuple(document["regions"])})

    @classmethod
    def vary(cls, seed: int) -> "Blueprint":
        """Make the platform of `seed`; seed 0 is the one of the documentation."""
        if seed == 0:
            return cls(metrics=dict(METRICS))
        rng = random.Random(seed)
        return _resized(_renamed(rng, seed), rng)


def default_blueprint() -> Blueprint:
    """The platform of the documentation."""
    return Blueprint.vary(0)


def _renamed(rng: random.Random, seed: int) -> Blueprint:
    domain, roles = rng.choice(_DOMAINS), rng.choice(_ROLES)
    prefix, other = rng.choice(_PREFIXES), rng.choice(_OTHER_METRICS)
    person = rng.choice(_PEOPLE)
    api, worker, database, cache = (f"{domain}-{role}" for role in roles)
    return Blueprint(
        seed=seed,
        api=api,
        worker=worker,
        database=database,
        cache=cache,
        regions=tuple(rng.sample(_REGIONS, 2)),
        metrics={meaning: f"{prefix}_{name}" for meaning, name in other.items()},
        team=f"team-{domain}s",
        on_call=person.split()[0].lower(),
        on_call_name=person,
    )


def _resized(blueprint: Blueprint, rng: random.Random) -> Blueprint:
    return replace(
        blueprint,
        good_version=rng.randint(3, 90),
        requests_per_s=round(rng.uniform(15.0, 20.0), 1),
        workers=rng.randint(2, 4),
        day_s=round(rng.uniform(240.0, 420.0)),
        day_depth=round(rng.uniform(0.15, 0.3), 2),
        work_median_s=round(rng.uniform(0.006, 0.016), 4),
        work_sigma=round(rng.uniform(0.35, 0.5), 2),
        tail_share=round(rng.uniform(0.2, 0.3), 2),
        failing_share=round(rng.uniform(0.28, 0.40), 2),
        onset_s=round(rng.uniform(0.0, 5.0), 1),
        down_for_s=round(rng.uniform(4.0, 7.0), 1),
    )
