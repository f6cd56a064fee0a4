-- The platform's tables. Owned by shop_owner, so that the services need no more than their own role.
SET ROLE shop_owner;

CREATE TABLE items (
    id     integer PRIMARY KEY,
    name   text NOT NULL,
    price  integer NOT NULL          -- cents
);
INSERT INTO items SELECT n, 'item ' || n, 300 + (n * 7919) % 4700 FROM generate_series(1, 200) AS n;

CREATE TABLE orders (
    id         bigserial PRIMARY KEY,
    region     text NOT NULL,
    item       integer NOT NULL REFERENCES items,
    total      integer NOT NULL,     -- cents
    state      text NOT NULL DEFAULT 'placed',
    placed_at  timestamptz NOT NULL DEFAULT now(),
    settled_at timestamptz
);

-- What was deployed, by whom, instead of what. A rollback adds no row: the release link is the truth.
CREATE TABLE deployments (
    id               bigserial PRIMARY KEY,
    service          text NOT NULL,
    version          text NOT NULL,
    previous_version text,
    deployed_at      timestamptz NOT NULL DEFAULT now(),
    deployed_by      text NOT NULL,
    summary          text NOT NULL DEFAULT ''
);

RESET ROLE;

-- Holdfast's checks: may look at everything, may write nothing. The missing grants are the guard;
-- the read-only default only makes the refusal come early.
ALTER ROLE holdfast_readonly SET default_transaction_read_only = on;
ALTER ROLE holdfast_readonly SET statement_timeout = '5s';
ALTER ROLE holdfast_readonly CONNECTION LIMIT 12;
GRANT pg_monitor TO holdfast_readonly;
REVOKE CREATE ON SCHEMA public FROM PUBLIC;
GRANT CREATE ON SCHEMA public TO shop_owner;
REVOKE TEMPORARY ON DATABASE shop FROM PUBLIC;
GRANT SELECT ON ALL TABLES IN SCHEMA public TO holdfast_readonly;

-- Holdfast's failover: its token table (docs/reference/configuration.md), and the right to promote.
CREATE TABLE holdfast_token (
    target text NOT NULL, incident text NOT NULL, fence bigint NOT NULL, key text PRIMARY KEY,
    at timestamptz NOT NULL DEFAULT clock_timestamp(), promoted_at timestamptz
);
GRANT SELECT, INSERT, UPDATE ON holdfast_token TO holdfast_failover;
GRANT EXECUTE ON FUNCTION pg_promote(boolean, integer) TO holdfast_failover;
ALTER ROLE holdfast_failover CONNECTION LIMIT 4;
