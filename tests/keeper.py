"""Runs a server for as long as the process that asked for it lives, and cleans up after both.

Run as a program of its own: `keeper.py [--user NAME] [--signal NAME] [--remove DIR] -- ARGV`. It
holds the read end of a pipe on stdin; the pipe closes when the asking process ends, however it
ends. Then the server is told to stop, and killed if it doesn't. On Linux the server also dies
with its keeper, so that nothing is left whichever of them is killed. With `--again`, a server
that ended before is started anew for each byte on stdin.
"""

import argparse
import ctypes
import os
import pwd
import select
import shutil
import signal
import subprocess
import sys
import threading

PR_SET_PDEATHSIG = 1
STOP_S = 5.0


def main() -> int:
    options = _options()
    argv = options.argv[1:] if options.argv[:1] == ["--"] else options.argv
    if options.exec:
        die_with_parent(signal.SIGKILL)
        os.execvp(argv[0], argv)  # noqa: S606 - a list of arguments is the safe way
    stop_with = signal.Signals[options.signal]
    account = pwd.getpwnam(options.user) if options.user else None
    libc = _libc()

    def before_exec() -> None:
        if account is not None:
            os.setgroups([])
            os.setgid(account.pw_gid)
            os.setuid(account.pw_uid)
        # After the change of user, which clears it.
        if libc is not None:
            libc.prctl(PR_SET_PDEATHSIG, int(stop_with), 0, 0, 0)

    # One thread only: the death signal is tied to the thread that forks.
    server = subprocess.Popen(
        argv,
        stdin=subprocess.DEVNULL,
        preexec_fn=before_exec,  # noqa: PLW1509 - this process has no other thread yet
        start_new_session=True,
    )
    threading.Thread(target=_stop_at_end_of_stdin, args=(server, stop_with), daemon=True).start()
    code = server.wait()
    if options.again and os.read(0, 1):
        os.execv(sys.executable, sys.orig_argv)  # noqa: S606 - the same keeper, without its thread
    if options.remove:
        shutil.rmtree(options.remove, ignore_errors=True)
    return code


def die_with_parent(sign: signal.Signals) -> None:
    """Have this process signalled when its parent dies; where the system can't, nothing happens."""
    libc = _libc()
    if libc is not None:
        libc.prctl(PR_SET_PDEATHSIG, int(sign), 0, 0, 0)


def _libc() -> ctypes.CDLL | None:
    return ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


def _stop_at_end_of_stdin(server: subprocess.Popen[bytes], stop_with: signal.Signals) -> None:
    select.select([0], [], [])
    server.send_signal(stop_with)
    try:
        server.wait(STOP_S)
    except subprocess.TimeoutExpired:
        server.kill()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--user")
    parser.add_argument("--signal", default="SIGTERM")
    parser.add_argument("--remove")
    parser.add_argument("--again", action="store_true", help="start anew for a byte on stdin")
    parser.add_argument("--exec", action="store_true", help="become ARGV, dying with the parent")
    parser.add_argument("argv", nargs=argparse.REMAINDER)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
