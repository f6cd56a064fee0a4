"""Runs the application in a thread of its own, on a socket that is bound first.

Binding first means that a taken port is an error before anything else starts,
and that port 0 has an answer. It listens from then on: whoever is quick waits a
moment instead of being refused.
"""

import socket
import threading

import uvicorn
from fastapi import FastAPI

from holdfast.api.connections import Connection
from holdfast.kernel.errors import BadInputError

_BACKLOG = 128
_STOP_S = 5.0


class ApiServer:
    """`stop` waits for the thread, and is harmless before `start`."""

    def __init__(self, listen: str) -> None:
        self._socket = _bind(listen)
        self._server: uvicorn.Server | None = None
        self._thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        """Say where it answers."""
        host, port = self._socket.getsockname()[:2]
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    def start(self, api: FastAPI) -> None:
        config = uvicorn.Config(
            api,
            http=Connection,
            ws="none",
            lifespan="off",
            # Its warnings are of what strangers send: one line for each would be theirs to fill.
            log_level="error",
            access_log=False,
            server_header=False,
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(
            target=self._server.run, args=([self._socket],), name="http", daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        if self._server is not None and self._thread is not None:
            self._server.should_exit = True
            self._thread.join(timeout=_STOP_S)
        self._socket.close()


def _bind(listen: str) -> socket.socket:
    host, _, port = listen.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((host, int(port)))
        bound.listen(_BACKLOG)
    except (OSError, OverflowError) as error:
        bound.close()
        raise BadInputError(
            f"can't listen on {listen}: {getattr(error, 'strerror', None) or error}; set `listen` "
            "in holdfast.yaml to a free port, or to port 0 for any",
            field="listen",
        ) from None
    return bound
