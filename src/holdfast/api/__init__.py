"""The HTTP surface: a request becomes an answer, nothing is decided here.

`/healthz` and `/metrics` are open; the intake of alerts and changes asks for a
token. Plain Starlette-style handlers, bound to loopback unless the configuration
says otherwise.
"""

from holdfast.api.alertmanager import Alert, read_alerts
from holdfast.api.changes import read_changes
from holdfast.api.http import Sources, build_api
from holdfast.api.intake import Taken, UnavailableError, UnknownCallerError
from holdfast.api.server import ApiServer

__all__ = [
    "Alert",
    "ApiServer",
    "Sources",
    "Taken",
    "UnavailableError",
    "UnknownCallerError",
    "build_api",
    "read_alerts",
    "read_changes",
]
