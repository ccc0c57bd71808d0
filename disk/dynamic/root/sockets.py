"""Python's own users of sockets: asyncio with servers and clients, descriptors passed on, servers with threads, processes
that talk through multiprocessing."""

import array
import asyncio
import multiprocessing.connection
import os
import socket
import socketserver
import threading

PATH = "/tmp/python.sock"
CLIENTS = 20


async def answer(reader, writer):
    while line := await reader.readline():
        writer.write(line.upper())
        await writer.drain()
    writer.close()


async def ask(number):
    reader, writer = await asyncio.open_unix_connection(PATH, limit=1 << 20)
    for count in range(10):
        writer.write(b"client %d, line %d\n" % (number, count))
        assert await reader.readline() == b"CLIENT %d, LINE %d\n" % (number, count)
    writer.write(b"x" * 300000 + b"\n")
    assert await reader.readexactly(300001) == b"X" * 300000 + b"\n"
    writer.close()
    await writer.wait_closed()


async def by_events():
    server = await asyncio.start_unix_server(answer, PATH, limit=1 << 20)
    async with server:
        await asyncio.gather(*(ask(number) for number in range(CLIENTS)))


def passed_on():
    one, other = socket.socketpair()
    reader, writer = os.pipe()
    one.sendmsg([b"fd"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [writer]))])
    os.close(writer)
    text, fds, _, _ = socket.recv_fds(other, 10, 4)
    os.write(fds[0], b"passed")
    os.close(fds[0])
    assert text == b"fd" and os.read(reader, 10) == b"passed" and os.read(reader, 10) == b""


class Handler(socketserver.StreamRequestHandler):
    def handle(self):
        self.wfile.write(self.rfile.readline()[::-1])


def by_threads():
    path = PATH + "2"
    with socketserver.ThreadingUnixStreamServer(path, Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        for number in range(CLIENTS):
            with socket.socket(socket.AF_UNIX) as client:
                client.settimeout(20)
                client.connect(path)
                client.sendall(b"%d abc\n" % number)
                client.shutdown(socket.SHUT_WR)
                assert client.recv(100) == (b"%d abc\n" % number)[::-1] and client.recv(100) == b""
        server.shutdown()


def by_processes():
    with multiprocessing.connection.Listener(PATH + "3", "AF_UNIX", authkey=b"key") as listener:
        child = os.fork()
        if child == 0:
            with multiprocessing.connection.Client(PATH + "3", authkey=b"key") as client:
                client.send({"numbers": list(range(1000))})
                os._exit(client.recv() != "sum 499500")
        with listener.accept() as connection:
            connection.send(f"sum {sum(connection.recv()['numbers'])}")
        assert os.waitpid(child, 0)[1] == 0


def clean():
    for name in ("", "2", "3"):
        if os.path.exists(PATH + name):
            os.unlink(PATH + name)


clean()
asyncio.run(by_events())
passed_on()
by_threads()
by_processes()
clean()
print("all well")
