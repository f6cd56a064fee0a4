"""Asks one PostgreSQL server what part it plays in replication.

One short read-only session. Where the server can't be asked, the reading says why: a dead
server is a finding here, not an error.
"""

from dataclasses import dataclass
from typing import Any

from holdfast.checks.parallel import Answer, Hanging, Raised
from holdfast.checks.postgres import read_only_session
from holdfast.kernel.errors import BadInputError
from holdfast.kernel.redact import bounded

# Position and timeline are read where this server has them: a primary writes, a standby replays.
# A standby's timeline is that of what it receives; while it receives nothing, of its last
# checkpoint. A role that is read-only by its own settings says nothing of the server.
LOOK = """
SELECT pg_is_in_recovery() AS in_recovery,
       (SELECT setting = 'on' AND source NOT IN ('user', 'database user') FROM pg_settings
         WHERE name = 'default_transaction_read_only') AS read_only,
       pg_has_role(current_user, 'pg_read_all_stats', 'USAGE') AS sees_all,
       CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn()
            ELSE pg_current_wal_lsn() END::text AS lsn,
       CASE WHEN pg_is_in_recovery() THEN pg_last_wal_receive_lsn() END::text AS received_lsn,
       CASE WHEN pg_is_in_recovery()
            THEN coalesce((SELECT received_tli FROM pg_stat_wal_receiver),
                          (SELECT timeline_id FROM pg_control_checkpoint()))
            ELSE ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::int
            END AS timeline,
       CASE WHEN pg_is_in_recovery() THEN pg_is_wal_replay_paused() ELSE false END AS paused,
       CASE WHEN pg_is_in_recovery()
            THEN extract(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp())::float
            END AS replayed_age_s,
       EXISTS (SELECT FROM pg_stat_wal_receiver) AS receives,
       (SELECT status FROM pg_stat_wal_receiver) AS receiver_status,
       (SELECT count(*)::int FROM pg_stat_replication) AS followers
"""

# Who follows a primary, and how far behind by its own books.
FOLLOWERS = """
SELECT coalesce(application_name, '') AS application, state, sync_state,
       pg_wal_lsn_diff(pg_current_wal_lsn(), replay_lsn)::bigint AS lag_bytes,
       extract(epoch FROM replay_lag)::float AS lag_s
FROM pg_stat_replication
ORDER BY application, pid
LIMIT 20
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """What one server said, or why it said nothing (`error`)."""

    role: str
    error: str | None = None
    in_recovery: bool = False
    read_only: bool = False
    sees_all: bool = True
    lsn: str | None = None
    received_lsn: str | None = None
    timeline: int | None = None
    paused: bool = False
    replayed_age_s: float | None = None
    receives: bool = False
    receiver_status: str | None = None
    followers: int = 0
    follows: tuple[dict[str, Any], ...] = ()

    @property
    def reachable(self) -> bool:
        return self.error is None

    @property
    def leads(self) -> bool:
        """Whether it is out of recovery, which a primary is."""
        return self.reachable and not self.in_recovery

    @property
    def takes_writes(self) -> bool:
        return self.leads and not self.read_only

    @property
    def stands_by(self) -> bool:
        return self.reachable and self.in_recovery

    @property
    def streams(self) -> bool:
        """Whether it receives now. Who may not see the receiver's status sees that there is one."""
        return self.stands_by and self.receives and self.receiver_status in {None, "streaming"}

    @property
    def unreplayed_bytes(self) -> int | None:
        """How much it has received and not applied yet."""
        if not self.stands_by or self.received_lsn is None or self.lsn is None:
            return None
        return max(position(self.received_lsn) - position(self.lsn), 0)

    def as_data(self) -> dict[str, Any]:
        if not self.reachable:
            return {"reachable": False, "in_recovery": None, "timeline": None, "error": self.error}
        data = {
            "reachable": True,
            "in_recovery": self.in_recovery,
            "read_only": self.read_only,
            "timeline": self.timeline,
            "lsn": self.lsn,
        }
        if not self.in_recovery:
            return {**data, "followers": self.followers, "replicas": list(self.follows)}
        return {
            **data,
            "received_lsn": self.received_lsn,
            "receiver": self.receiver_status or ("hidden" if self.receives else None),
            "unreplayed_bytes": self.unreplayed_bytes,
            "replay_paused": self.paused,
            "replayed_age_s": self.replayed_age_s,
        }


def position(lsn: str) -> int:
    """Turn a log position such as 0/3000148 into bytes."""
    high, _, low = lsn.partition("/")
    return (int(high, 16) << 32) + int(low, 16)


def look(dsn: str, role: str, timeout_s: float) -> Server:
    """Ask one server. Raises whatever the driver raises."""
    with read_only_session(
        dsn, statement_timeout_s=timeout_s, connect_timeout_s=3, server_default=True
    ) as connection:
        row = connection.execute(LOOK).fetchone() or {}
        follows = () if row["in_recovery"] else connection.execute(FOLLOWERS).fetchall()
        return Server(role=role, follows=tuple(follows), **row)


def as_server(role: str, answer: Answer[Server], timeout_s: float) -> Server:
    """Take an answer, or why there was none. Raises BadInputError for a bad setting."""
    match answer.result:
        case Hanging():
            return Server(role=role, error=f"no answer within {timeout_s:g} s")
        case Raised(error=BadInputError() as error):
            raise error
        case Raised(error=error):
            words = " ".join(str(error).split()) or type(error).__name__
            return Server(role=role, error=bounded(words, limit=300))
        case server:
            return server
