"""Where an HTTP/1.1 message ends, as far as the sandbox's traffic needs to know it.

Rule: a head and as many bytes as it says, and nothing else: no chunks, no trailers. Pure.
"""

_END = b"\r\n\r\n"
_LENGTH = b"content-length:"
BODY_BYTES_MAX = 1_000_000


def _answer(status: bytes) -> bytes:
    return b"HTTP/1.1 " + status + b"\r\nContent-Length: 0\r\n\r\n"


BAD_GATEWAY = _answer(b"502 Bad Gateway")
UNAVAILABLE = _answer(b"503 Service Unavailable")


def complete(buffer: bytes) -> int | None:
    """Say how many bytes the first message has, or None while it is not all there."""
    head = buffer.find(_END)
    if head < 0:
        return None
    end = head + len(_END) + _body_bytes(buffer[:head].lower())
    return end if len(buffer) >= end else None


def _body_bytes(head: bytes) -> int:
    place = head.find(_LENGTH)
    if place < 0:
        return 0
    text = head[place + len(_LENGTH) :].partition(b"\r\n")[0].strip()
    return min(int(text), BODY_BYTES_MAX) if text.isdigit() else 0
