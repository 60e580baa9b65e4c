"""Messages survive any way the socket cuts them."""

from __future__ import annotations

import json
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ein.runtime.wire import Wire

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(st.lists(st.dictionaries(st.text(), PLAIN, max_size=4), max_size=5), st.integers(1, 30))
def test_messages_arrive_whole_and_in_order(messages: list[dict[str, object]], piece: int) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        frames = [json.dumps(message).encode() for message in messages]
        stream = b"".join(len(frame).to_bytes(8, "big") + frame for frame in frames)
        wire = Wire(theirs)
        arrived = []
        for start in range(0, len(stream), piece):
            ours.sendall(stream[start : start + piece])
            arrived += wire.take()
        assert arrived == messages
        assert not wire.closed


def test_a_message_larger_than_the_socket_is_sent_in_parts() -> None:
    ours, theirs = socket.socketpair()
    sender, receiver = Wire(ours), Wire(theirs)
    sender.put({"text": "x" * 5_000_000})
    sender.put({"text": "after"})
    sender.flush()
    assert sender.unsent
    arrived = []
    while sender.unsent:
        arrived += receiver.take()
        sender.flush()
    arrived += receiver.take()
    assert [len(message["text"]) for message in arrived] == [5_000_000, 5]
    sender.close()
    assert receiver.take() == [] and receiver.closed
    receiver.close()


def test_a_message_that_is_not_plain_queues_nothing() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        wire = Wire(ours)
        with pytest.raises(TypeError):
            wire.put({"x": object()})
        assert not wire.unsent
