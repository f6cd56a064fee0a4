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
    "pool_size": "pool_connections_max",
    "pool_in_use": "pool_connections_in_use",
    "pool_held": "pool_connections_held",
    "pool_waiting": "pool_clients_waiting",
    "pool_transactions": "pool_transactions_total",
    "pool_wait": "pool_wait_seconds",
    "pool_fenced": "pool_servers_fenced",
    "receipts": "receipts_printed_total",
    "receipt_failures": "receipts_failed_total",
    "receipt_duration": "receipt_duration_seconds",
    "temp_used": "temp_used_ratio",
    "replication_lag": "pg_replication_lag_bytes",
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
        "pool_size": "db_slots",
        "pool_in_use": "db_slots_taken",
        "pool_held": "db_slots_idle_in_transaction",
        "pool_waiting": "db_slots_wanted",
        "pool_transactions": "db_slots_granted_total",
        "pool_wait": "db_slot_wait_seconds",
        "pool_fenced": "db_slots_servers_refused",
        "receipts": "documents_done_total",
        "receipt_failures": "documents_broken_total",
        "receipt_duration": "document_seconds",
        "temp_used": "scratch_share",
        "replication_lag": "db_replica_behind_bytes",
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
        "pool_size": "sql_pool_capacity",
        "pool_in_use": "sql_pool_busy",
        "pool_held": "sql_pool_held_open",
        "pool_waiting": "sql_pool_queue",
        "pool_transactions": "sql_pool_leases_total",
        "pool_wait": "sql_pool_latency_seconds",
        "pool_fenced": "sql_pool_servers_refused",
        "receipts": "renders_total",
        "receipt_failures": "render_errors_total",
        "receipt_duration": "render_latency_seconds",
        "temp_used": "workspace_fill",
        "replication_lag": "sql_standby_lag_bytes",
    },
)
_PREFIXES = ("acme", "shopfront", "orbit", "juniper", "tern", "delta9")
_DOMAINS = ("booking", "payment", "parcel", "ticket", "invoice", "claim", "voucher", "rental")
_ROLES = (
    ("gateway", "dispatcher", "store", "memo", "gate", "renderer"),
    ("front", "runner", "records", "hot-keys", "broker", "scribe"),
    ("edge", "consumer", "vault", "lookaside", "turnstile", "typesetter"),
    ("web", "batcher", "warehouse", "quick-read", "sluice", "stationer"),
)
_FLAGS = ("thin-messages", "by-reference", "lean-payload", "short-notes")
_CACHED = (("quote:", "cart:", "cart-epoch"), ("fare:", "bundle:", "bundle-round"))
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
    pooler: str = "orders-pool"
    printer: str = "receipt-printer"
    flag: str = "slim-jobs"
    price_prefix: str = "price:"
    basket_prefix: str = "basket:"
    basket_epoch: str = "basket-epoch"
    regions: tuple[str, ...] = ("eu-west", "us-east")
    metrics: Mapping[str, str]
    team: str = "team-checkout"
    on_call: str = "dana"
    on_call_name: str = "Dana Okoye"
    second: str = "sam"
    second_name: str = "Sam Ortiz"
    dba: str = "mira"
    dba_name: str = "Mira Holm"
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
    pool_size: int = 8
    extra_workers: int = 3
    receipts_per_s: float = 6.0
    temp_limit_bytes: int = 24_000_000

    @property
    def services(self) -> tuple[str, ...]:
        return (self.api, self.worker, self.pooler, self.printer, self.database, self.cache)

    @property
    def regional(self) -> tuple[str, str]:
        """Name the services that run once in every region, and are released."""
        return (self.api, self.worker)

    @property
    def single(self) -> tuple[str, str]:
        """Name the services that run once for all regions."""
        return (self.pooler, self.printer)

    @property
    def supervised(self) -> tuple[str, ...]:
        """Name the services that supervisord runs."""
        return (*self.regional, *self.single)

    def names(self) -> frozenset[str]:
        """Every name that another seed must change."""
        own = (self.flag, self.price_prefix, self.basket_prefix, self.basket_epoch)
        return frozenset((*self.services, *self.regions, *self.metrics.values(), self.team, *own))

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
    first = _PEOPLE.index(person)
    second, dba = (_PEOPLE[(first + n) % len(_PEOPLE)] for n in (1, 2))
    prices, baskets, epoch = rng.choice(_CACHED)
    api, worker, database, cache, pooler, printer = (f"{domain}-{role}" for role in roles)
    return Blueprint(
        seed=seed,
        api=api,
        worker=worker,
        database=database,
        cache=cache,
        pooler=pooler,
        printer=printer,
        flag=rng.choice(_FLAGS),
        price_prefix=prices,
        basket_prefix=baskets,
        basket_epoch=epoch,
        regions=tuple(rng.sample(_REGIONS, 2)),
        metrics={meaning: f"{prefix}_{name}" for meaning, name in other.items()},
        team=f"team-{domain}s",
        on_call=person.split()[0].lower(),
        on_call_name=person,
        second=second.split()[0].lower(),
        second_name=second,
        dba=dba.split()[0].lower(),
        dba_name=dba,
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
        pool_size=rng.randint(7, 10),
        receipts_per_s=round(rng.uniform(5.0, 8.0), 1),
        temp_limit_bytes=rng.randint(18, 30) * 1_000_000,
    )
