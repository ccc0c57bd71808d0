"""Python's own users of TCP and UDP: web servers and their clients, by name and by number, asyncio with many clients, datagrams,
calls of procedures, and what is refused."""

import asyncio
import http.client
import http.server
import os
import select
import socket
import socketserver
import threading
import urllib.error
import urllib.request
import xmlrpc.client
import xmlrpc.server

HOST = "127.0.0.1"
CLIENTS = 30
LARGE = bytes(range(256)) * 8192


class Pages(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        body = LARGE if self.path == "/large" else f"you asked for {self.path}".encode()
        self.send_response(404 if self.path == "/none" else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[::-1])

    def log_message(self, *_):
        pass


def web():
    with http.server.ThreadingHTTPServer((HOST, 0), Pages) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        port = server.server_address[1]
        for name in (HOST, "localhost"):
            with urllib.request.urlopen(f"http://{name}:{port}/page", timeout=30) as answer:
                assert answer.read() == b"you asked for /page"
        with urllib.request.urlopen(f"http://{HOST}:{port}/large", timeout=60) as answer:
            assert answer.read() == LARGE
        try:
            urllib.request.urlopen(f"http://{HOST}:{port}/none", timeout=30)
            raise AssertionError("a page that is none was found")
        except urllib.error.HTTPError as error:
            assert error.code == 404
            error.close()
        # One connection for many requests.
        connection = http.client.HTTPConnection(HOST, port, timeout=30)
        for number in range(50):
            connection.request("POST", "/", b"%d" % number * 1000)
            assert connection.getresponse().read() == (b"%d" % number * 1000)[::-1]
        connection.close()
        server.shutdown()


async def echo(reader, writer):
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.close()


async def ask(port, number):
    reader, writer = await asyncio.open_connection(HOST, port)
    text = b"client %d " % number * 20000
    writer.write(text)
    writer.write_eof()
    assert await reader.read(-1) == text
    writer.close()
    await writer.wait_closed()


class Shouting(asyncio.DatagramProtocol):
    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, address):
        self.transport.sendto(data.upper(), address)


async def by_events():
    server = await asyncio.start_server(echo, HOST, 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        await asyncio.gather(*(ask(port, number) for number in range(CLIENTS)))
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(Shouting, local_addr=(HOST, 0))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.setblocking(False)
        client.connect(transport.get_extra_info("sockname"))
        for number in range(CLIENTS):
            client.send(b"datagram %d" % number)
            assert await asyncio.get_running_loop().sock_recv(client, 100) == b"DATAGRAM %d" % number
    transport.close()


def procedures():
    with xmlrpc.server.SimpleXMLRPCServer((HOST, 0), logRequests=False) as server:
        server.register_function(lambda *numbers: sum(numbers), "add")
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with xmlrpc.client.ServerProxy(f"http://localhost:{server.server_address[1]}/") as proxy:
            assert proxy.add(*range(100)) == 4950
        server.shutdown()


class Reverse(socketserver.StreamRequestHandler):
    def handle(self):
        # Not to the end of the stream: a child forked off here has the client's end, too.
        while (line := self.rfile.readline()) != b"end\n":
            self.wfile.write(line.strip()[::-1] + b"\n")


def processes():
    """A process for each client, which inherits the connection."""
    with socketserver.ForkingTCPServer((HOST, 0), Reverse) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        for number in range(5):
            with socket.create_connection(server.server_address, timeout=30) as client, client.makefile("rwb") as file:
                for count in range(20):
                    file.write(b"%d %d\n" % (number, count))
                    file.flush()
                    assert file.readline().strip() == (b"%d %d" % (number, count))[::-1]
                file.write(b"end\n")
        server.shutdown()


def refused():
    with socket.socket() as held:
        held.bind((HOST, 0))
        port = held.getsockname()[1]
        try:
            socket.create_connection((HOST, port), timeout=30)
            raise AssertionError("who does not listen was connected to")
        except ConnectionRefusedError:
            pass
        held.listen(0)
        client = socket.create_connection((HOST, port), timeout=30)
        other = held.accept()[0]
        other.close()
        assert client.recv(1) == b"" and select.select([client], [], [], 0)[0] == [client]
        client.close()
    try:
        socket.create_connection(("192.0.2.1", 80), timeout=0.2)
        raise AssertionError("a host that is not there was connected to")
    except OSError:
        pass


web()
asyncio.run(by_events())
procedures()
processes()
refused()
print("all well", flush=True)
os._exit(0)
