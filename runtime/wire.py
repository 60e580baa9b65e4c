"""Messages between our own processes: a length of eight bytes, then JSON, over a socket that never blocks."""

from __future__ import annotations

import json
import socket
from typing import Any

Message = dict[str, Any]

_PREFIX = 8
_CHUNK = 1 << 16


class Wire:
    """One end of a socket pair. `put` queues, `flush` sends what fits, `take` returns what has arrived."""

    def __init__(self, end: socket.socket) -> None:
        end.setblocking(False)
        self.socket = end
        self.closed = False
        self._outgoing = bytearray()
        self._incoming = bytearray()

    @property
    def unsent(self) -> bool:
        return bool(self._outgoing) and not self.closed

    def put(self, message: Message) -> None:
        """Raises `TypeError` or `ValueError` if the message is not JSON-like; then nothing is queued."""
        body = json.dumps(message).encode()
        self._outgoing += len(body).to_bytes(_PREFIX, "big") + body

    def flush(self) -> None:
        try:
            while self._outgoing and not self.closed:
                sent = self.socket.send(memoryview(self._outgoing)[:_CHUNK])
                del self._outgoing[:sent]
        except BlockingIOError:
            return
        except OSError:
            self.closed = True

    def take(self) -> list[Message]:
        """All whole messages that have arrived; `closed` is set once the other end is gone."""
        try:
            while not self.closed:
                data = self.socket.recv(_CHUNK)
                self._incoming += data
                self.closed = not data
        except BlockingIOError:
            pass
        except OSError:
            self.closed = True
        return list(self._whole())

    def _whole(self) -> list[Message]:
        messages, start = [], 0
        while len(self._incoming) - start >= _PREFIX:
            body = start + _PREFIX
            end = body + int.from_bytes(self._incoming[start:body], "big")
            if len(self._incoming) < end:
                break
            messages.append(json.loads(self._incoming[body:end]))
            start = end
        del self._incoming[:start]
        return messages

    def close(self) -> None:
        self.closed = True
        self.socket.close()
