"""Runs the application in a thread of its own, on a socket that is bound first.

Binding first means that a taken port is an error before anything else starts,
and that port 0 has an answer.
"""

import socket
import threading

import uvicorn
from fastapi import FastAPI

from holdfast.kernel.errors import BadInputError


class ApiServer:
    """`start` returns once requests are answered; `stop` waits for the thread."""

    def __init__(self, api: FastAPI, listen: str) -> None:
        self._socket = _bind(listen)
        config = uvicorn.Config(api, log_level="warning", access_log=False, lifespan="off")
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._run, name="http", daemon=True)

    @property
    def url(self) -> str:
        """Say where it answers."""
        host, port = self._socket.getsockname()[:2]
        return f"http://{host}:{port}"

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._server.should_exit = True
        self._thread.join(timeout=5)
        self._socket.close()

    def _run(self) -> None:
        self._server.run(sockets=[self._socket])


def _bind(listen: str) -> socket.socket:
    host, _, port = listen.rpartition(":")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((host, int(port)))
    except (OSError, OverflowError) as error:
        bound.close()
        raise BadInputError(
            f"can't listen on {listen}: {error}; set `listen` in holdfast.yaml to a free "
            "port, or 0 for any",
            field="listen",
        ) from None
    return bound
