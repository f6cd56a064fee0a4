"""The HTTP surface: a request becomes an answer, nothing is decided here.

So far `/healthz` and `/metrics` only. Plain Starlette-style handlers, bound to
loopback unless the configuration says otherwise.
"""

from holdfast.api.http import Sources, build_api
from holdfast.api.server import ApiServer

__all__ = ["ApiServer", "Sources", "build_api"]
