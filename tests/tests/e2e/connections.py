"""What connections to the API over TLS are worth: they stay usable, tell when they end, and say who is behind a proxy."""

import http.client
import json
import socket
import ssl
import sys

directory, task = sys.argv[1:3]
ADDRESS = ("127.0.0.1", 8443)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
context.check_hostname = False
context.verify_mode = ssl.CERT_NONE
context.load_cert_chain(f"{directory}/client.crt", f"{directory}/client.key")


def connect(begin=b""):
    plain = socket.create_connection(ADDRESS, timeout=20)
    plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    plain.sendall(begin)
    return context.wrap_socket(plain)


def read_reply(stream):
    reply = http.client.HTTPResponse(stream)
    reply.begin()
    return reply, reply.read()


def bodies_come_after_their_heads():
    """The body of each request comes in a record of its own; no handler reads it."""
    stream = connect()
    used = 0
    for number in range(400):
        body = b"x" * (1 + number * 37 % 3000)
        head = f"POST /1.0/nowhere/{number} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
        stream.sendall(head.encode())
        stream.sendall(body)
        reply, _ = read_reply(stream)
        assert reply.status == 404, reply.status
        if reply.getheader("Connection") == "close":
            stream = connect()
        else:
            used += 1
    assert used > 300, f"only {used} connections could be used again"


def what_nobody_reads_does_not_hide_the_reply():
    for head, status in [
        (b"POST /1.0/nowhere HTTP/1.1\r\nHost: x\r\nContent-Length: 9000000\r\n\r\n", 404),
        (b"POST /1.0/nowhere HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n", 404),
        (b"POST /1.0/nowhere HTTP/1.1\r\nHost: x\r\nContent-Length: 9000000\r\nExpect: 100-continue\r\n\r\n", 404),
        (b"GET /1.0 HTTP/1.1\r\nHost: x\r\nA: " + b"a" * 1000000 + b"\r\n\r\n", 431),
        (b"GET /1.0 HTTP/1.1\r\nno header\r\n\r\n", 400),
    ]:
        stream = connect()
        chunk = b"8000\r\n" + b"y" * 0x8000 + b"\r\n"
        try:
            stream.sendall(head)
            if b"Expect" not in head:
                for _ in range(100):
                    stream.sendall(chunk)
        except OSError as error:
            # Told not to go on; but the reply is there.
            print("sent until", error)
        reply, _ = read_reply(stream)
        assert reply.status == status, (head[:40], reply.status)
        assert reply.getheader("Connection") == "close", (head[:40], reply.getheaders())
        assert stream.recv(1) == b"", "the end is told in TLS' own words"


def address(begin):
    stream = connect(begin)
    body = json.dumps({"type": "client", "name": "x", "token": True}).encode()
    head = f"POST /1.0/certificates HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    stream.sendall(head.encode() + body)
    reply, text = read_reply(stream)
    assert reply.status == 202, (reply.status, text)
    return json.loads(text)["metadata"]["requestor"]["address"]


V1 = b"PROXY TCP4 192.0.2.77 127.0.0.1 4242 8443\r\n"
V2 = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\x02\x4d\x7f\0\0\x01\x10\x92\x20\xfb"


def a_trusted_proxy_says_for_whom():
    for begin in (V1, V2):
        assert address(begin) == "192.0.2.77:4242", address(begin)
    assert address(b"").startswith("127.0.0.1:")


def nobody_else_is_believed():
    for begin in (V1, V2):
        try:
            address(begin)
        except (ssl.SSLError, ConnectionError):
            continue
        raise AssertionError("a header of the PROXY protocol was taken")


globals()[task]()
print("held")
