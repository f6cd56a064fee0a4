"""What `prometheus` in holdfast.yaml may hold, field by field, with the defaults.

One engine that speaks Prometheus' query API: signals that are queries are read from it, and the
past of any signal.
"""

from typing import Self

from pydantic import Field, model_validator

from holdfast.app.strict import Http, Strict


class PrometheusModel(Strict):
    """The `prometheus` section."""

    url: Http
    token: str | None = Field(None, min_length=1)
    user: str | None = Field(None, min_length=1)
    password: str | None = Field(None, min_length=1)
    headers: dict[str, str] = {}
    ca_file: str | None = Field(None, min_length=1)
    timeout_s: float = Field(10.0, gt=0, le=60)
    lookback_s: float | None = Field(None, gt=0, le=3600)

    @model_validator(mode="after")
    def _one_credential(self) -> Self:
        if self.token is not None and self.user is not None:
            raise ValueError("write token, or user and password, not both")
        if (self.user is None) != (self.password is None):
            raise ValueError("write both user and password")
        return self
