"""An engine in a process of its own, for the tests that kill it: DIRECTORY KIND."""

import sys
from pathlib import Path

from holdfast.response.ports import Repeatability
from tests.engine.engine_parts import make_site


def main(directory: str, kind: str) -> None:
    site = make_site(Path(directory), worker="w-dies", kind=Repeatability(kind))
    site.open()
    site.start()
    site.seen.until(lambda: site.seen.has("resolved")() or site.seen.has("held")())
    site.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
