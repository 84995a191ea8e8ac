"""Connections of the page's server."""

import asyncio
import socket

from uvicorn import Config
from uvicorn.server import ServerState

from demo.connections import TimedProtocol
from demo.listener import open_socket


def test_responses_are_sent_without_waiting_for_the_client_to_acknowledge_their_heads() -> None:
    async def accept() -> int:
        opened: list[TimedProtocol] = []

        def protocol() -> TimedProtocol:
            config = Config(lambda *_: None, lifespan="off")
            config.load()
            opened.append(TimedProtocol(config, ServerState(), {}))
            return opened[-1]

        server = await asyncio.get_running_loop().create_server(protocol, sock=open_socket("127.0.0.1", 0))
        async with server:
            _, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
            while not (opened and opened[0].transport):
                await asyncio.sleep(0.001)
            accepted: socket.socket = opened[0].transport.get_extra_info("socket")
            option = accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            writer.close()
            opened[0].transport.close()
            return option

    assert asyncio.run(accept())
