"""A small connection pooler of our own: many clients, few server connections, one transaction each.

Rule: what a client asks passes through as it is. Named statements and session settings don't
survive a transaction here, so the services use none. Clients outlive a failover: their next
transaction goes to the primary of then, and never to one of the past.
"""

import asyncio
import signal

import uvloop

from holdfast.sandbox.services.limiting import ServerPool
from holdfast.sandbox.services.pool_clients import Client, Pooler
from holdfast.sandbox.services.pool_metrics import PoolMetrics
from holdfast.sandbox.services.start import Started
from holdfast.sandbox.services.upstream import Upstream
from holdfast.sandbox.site import DATABASE, OWNER_ROLE

SOCKET_NAME = ".s.PGSQL.5432"


async def serve(started: Started, pooler: Pooler, stop: asyncio.Event) -> None:
    """Relay until `stop`."""
    directory = started.site.pool_socket_directory
    directory.mkdir(mode=0o700, exist_ok=True)
    loop = asyncio.get_running_loop()
    tasks = [
        asyncio.create_task(pooler.pool.upstream.watch()),
        asyncio.create_task(pooler.tell_of_the_held()),
    ]
    server = await loop.create_unix_server(lambda: Client(pooler), str(directory / SOCKET_NAME))
    ended = asyncio.create_task(stop.wait())
    await asyncio.wait([ended, *tasks], return_when=asyncio.FIRST_COMPLETED)
    server.close()
    pooler.pool.close()
    for task in tasks:
        if task.done():
            task.result()  # it never ends by itself but with an error of ours
        task.cancel()


def run(started: Started) -> None:
    """Serve until told to end."""
    uvloop.run(_run(started))  # half the processor time of asyncio's own loop


async def _run(started: Started) -> None:
    site, stop = started.site, asyncio.Event()
    for sig in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(sig, stop.set)
    servers = [site.run / SOCKET_NAME, site.standby_socket_directory / SOCKET_NAME]
    own = {"user": OWNER_ROLE, "database": DATABASE, "application_name": started.name}
    upstream = Upstream(servers, own, site.run / "pool-timeline", site.bar_file, started.log)
    pool = ServerPool(upstream, site.blueprint.pool_size)
    metrics = PoolMetrics(site.blueprint.metrics)
    pooler = Pooler(pool, started.name, started.log, metrics.waited)
    metrics.tell_of(pooler)
    metrics.serve(site.port(started.service, started.region))
    await serve(started, pooler, stop)
