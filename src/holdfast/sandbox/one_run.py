"""One run as a process of its own, so that runs in parallel share nothing.

Rule: one document on stdout, the events on stderr, and an end, with nothing left, when its
standard input ends.
"""

import json
import os
import signal
import sys
import threading

from holdfast.sandbox.holdfast_process import Event
from holdfast.sandbox.play import play
from holdfast.sandbox.scenario import Plan
from holdfast.sandbox.scenarios import choose


def main() -> None:
    """Run `one_run NAME SEED RUN`."""
    name, seed, number = sys.argv[1:]
    chosen = choose(name)[0]
    plan = Plan(
        scenario=chosen.scenario,
        seed=int(seed),
        run=int(number),
        crash_point=chosen.crash_point,
    )
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    threading.Thread(target=_end_with_the_parent, name="parent", daemon=True).start()
    try:
        document = play(plan, tell=_to_stderr)
    except KeyboardInterrupt:
        raise SystemExit(130) from None
    print(json.dumps(document), flush=True)


def _to_stderr(event: Event) -> None:
    print(json.dumps(event), file=sys.stderr)


def _end_with_the_parent() -> None:
    while os.read(0, 4096):  # not sys.stdin: its lock would be held while the interpreter ends
        pass
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    main()
