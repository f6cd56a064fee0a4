"""The observer at supervisord: every process state change as one JSON line.

Rule: an event is acknowledged to supervisord only after its line is in the file,
so a reader who finds an announcement of their own in it has seen all before it.
"""

import json
import sys
from pathlib import Path

from holdfast.kernel.clock import SystemClock, format_at
from holdfast.sandbox.processes import die_with_parent


def fields(line: str) -> dict[str, str]:
    """Read supervisord's `key:value key:value` form."""
    return dict(part.split(":", 1) for part in line.split())


def main() -> None:
    die_with_parent()  # and its input ends with supervisord, should that have been too late
    clock = SystemClock()
    with Path(sys.argv[2]).open("ab", buffering=0) as log:
        while True:
            print("READY", flush=True)
            header = fields(sys.stdin.readline() or sys.exit(0))
            head, _, data = sys.stdin.read(int(header["len"])).partition("\n")
            line = {
                "at": format_at(clock.now()),
                "event": header["eventname"],
                **fields(head),
                "data": data,
            }
            log.write(json.dumps(line).encode() + b"\n")
            sys.stdout.write("RESULT 2\nOK")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
