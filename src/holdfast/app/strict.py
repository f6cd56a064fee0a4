"""What every part of the configuration's models is made of: strictness, and checked addresses.

Strict: nothing is coerced and an unknown key is an error, so that a slip of the pen is found
when the file is read.
"""

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict

from holdfast.app.addresses import check_dsn, check_http, check_url

NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$"
Http = Annotated[str, AfterValidator(check_http)]
Url = Annotated[str, AfterValidator(check_url)]
Dsn = Annotated[str, AfterValidator(check_dsn)]


class Strict(BaseModel):
    """Refuses what it does not know, and numbers that are none."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)
