"""Where the ledger of an installation is: a question that needs none of its settings.

Apart from `installation`, so that who only reads an incident does not wait for the reading of
everything else.
"""

import os
from pathlib import Path

from holdfast.ledger.address import VARIABLE as DATABASE_VARIABLE
from holdfast.ledger.address import Address, read_address

DATABASE_NAME = "holdfast.db"


def database_address(directory: Path) -> Address:
    """Say where the ledger is. Raises BadInputError, never with a password in it."""
    url = os.environ.get(DATABASE_VARIABLE)
    if not url:
        return Address(path=directory / DATABASE_NAME)
    return read_address(url, directory)
