"""Bytes that nobody asked for are seen before a connection is used."""

import asyncio
import socket

from sidecar.proxy.unread import Unread


def test_asked_once_in_a_turn_of_the_loop() -> None:
    """What has come is seen, what comes later in the next turn, and what was read no more."""

    async def main() -> None:
        (left, right), unread = socket.socketpair(), Unread(asyncio.get_running_loop())
        with left, right:
            unread.add(left.fileno())
            assert not unread.has(left.fileno())
            right.send(b"x")
            assert not unread.has(left.fileno())
            await asyncio.sleep(0)
            assert unread.has(left.fileno())
            unread.read(left.fileno())
            assert not unread.has(left.fileno())

    asyncio.run(main())


def test_an_end_counts_too_and_a_closed_one_is_forgotten() -> None:
    """The kernel forgets a descriptor that is closed, and takes the number again."""

    async def main() -> None:
        unread, numbers = Unread(asyncio.get_running_loop()), set[int]()
        for _ in range(2):
            left, right = socket.socketpair()
            numbers.add(left.fileno())
            with left:
                unread.add(left.fileno())
                assert not unread.has(left.fileno())
                right.close()
                await asyncio.sleep(0)
                assert unread.has(left.fileno())
            await asyncio.sleep(0)
        assert len(numbers) == 1

    asyncio.run(main())
