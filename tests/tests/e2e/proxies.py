"""What passes a proxy: `serve` answers in an instance's network, every other task talks through the proxy on the host's side."""

import asyncio
import os
import resource
import socket
import sys
import threading

task = sys.argv[1]
soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def serve():
    """TCP 7000: echoes until the other side has ended, then says `end`. 7001 to 7003: says its own port. UDP 7000: echoes.

    Ends with its standard input."""

    async def echo(reader, writer):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
        writer.write(b"end")
        writer.close()

    async def name(reader, writer):
        writer.write(str(writer.get_extra_info("sockname")[1]).encode())
        writer.close()

    async def head(reader, writer):
        writer.write((await reader.readline()).strip())
        writer.close()

    async def all_of_them():
        await asyncio.start_server(echo, "127.0.0.1", 7000, backlog=4096)
        for port in (7001, 7002, 7003):
            await asyncio.start_server(name, "127.0.0.1", port)
        await asyncio.start_server(head, "127.0.0.1", 7010)
        near = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        near.bind(("127.0.0.1", 7000))

        def datagrams():
            while True:
                data, peer = near.recvfrom(65536)
                near.sendto(data, peer)

        threading.Thread(target=datagrams, daemon=True).start()
        print("serving", flush=True)
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
        os._exit(0)

    asyncio.run(all_of_them())


def read_all(stream):
    parts = []
    while part := stream.recv(65536):
        parts.append(part)
    return b"".join(parts)


def thousands():
    """All are open at once, each still says its own."""
    streams = [socket.create_connection(("127.0.0.1", 8000), timeout=20) for _ in range(3000)]
    for number, stream in enumerate(streams):
        stream.sendall(str(number).encode())
    for number, stream in enumerate(streams):
        said = str(number).encode()
        heard = b""
        while len(heard) < len(said):
            heard += stream.recv(100)
        assert heard == said, (heard, said)
    for stream in streams:
        stream.close()


def half_closed():
    """Who has ended his side still hears the rest, all of it."""
    stream = socket.create_connection(("127.0.0.1", 8000), timeout=20)
    said = os.urandom(1 << 20)
    writer = threading.Thread(target=lambda: (stream.sendall(said), stream.shutdown(socket.SHUT_WR)))
    writer.start()
    assert read_all(stream) == said + b"end"
    writer.join()


def ranges():
    for port in (8001, 8002, 8003):
        stream = socket.create_connection(("127.0.0.1", port), timeout=20)
        heard = read_all(stream)
        assert heard == str(port - 1000).encode(), heard


def sessions():
    """Each sender of datagrams gets its own answers."""
    senders = []
    for number in range(50):
        sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sender.settimeout(10)
        sender.connect(("127.0.0.1", 8000))
        senders.append(sender)
    for turn in range(3):
        for number, sender in enumerate(senders):
            sender.send(f"{number} {turn}".encode())
        for number, sender in enumerate(senders):
            heard = sender.recv(100)
            assert heard == f"{number} {turn}".encode(), heard


def protocol():
    stream = socket.create_connection(("127.0.0.1", 8010), timeout=20)
    near = stream.getsockname()
    heard = read_all(stream).decode()
    assert heard == f"PROXY TCP4 127.0.0.1 127.0.0.1 {near[1]} 8010", heard


def by_path():
    stream = socket.socket(socket.AF_UNIX)
    stream.settimeout(20)
    stream.connect(sys.argv[2])
    stream.sendall(b"hello")
    stream.shutdown(socket.SHUT_WR)
    assert read_all(stream) == b"helloend"


globals()[task]()
print("held", flush=True)
