"""nginx as Debian builds it: two processes that share a port, pages by sendfile(2), many clients at once, its signals."""

import concurrent.futures
import hashlib
import http.client
import os
import shutil
import socket
import subprocess
import tempfile
import time

HOST = "127.0.0.1"
CLIENTS = 8
REQUESTS = 25

CONFIGURATION = """
user root; worker_processes 2; daemon off; pid {place}/pid; error_log {place}/errors info;
events {{ worker_connections 64; }}
http {{
    access_log off; sendfile on; default_type text/plain;
    client_body_temp_path {place}/a; proxy_temp_path {place}/b; fastcgi_temp_path {place}/c; uwsgi_temp_path {place}/d; scgi_temp_path {place}/e;
    server {{ listen {host}:{port} reuseport; root {place}/pages; location /proxied/ {{ proxy_pass http://{host}:{port}/; }} }}
}}
"""


def free_port():
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return probe.getsockname()[1]


def ask(port, paths):
    """The answers' statuses and bodies, over one connection."""
    connection = http.client.HTTPConnection(HOST, port, timeout=60)
    answers = []
    for path in paths:
        connection.request("GET", path)
        answer = connection.getresponse()
        answers.append((answer.status, answer.read()))
    connection.close()
    return answers


def listens(port, server):
    end = time.monotonic() + 60
    while time.monotonic() < end and server.poll() is None:
        try:
            socket.create_connection((HOST, port), timeout=5).close()
            return True
        except ConnectionRefusedError:
            time.sleep(0.1)
    return False


place = tempfile.mkdtemp(prefix="nginx-")
port = free_port()
os.chmod(place, 0o755)
os.mkdir(f"{place}/pages")
with open(f"{place}/pages/small", "w") as file:
    file.write("a small page\n")
shutil.copy("/usr/bin/python3", f"{place}/pages/large")
with open(f"{place}/pages/large", "rb") as file:
    large = hashlib.sha256(file.read()).digest()
with open(f"{place}/conf", "w") as file:
    file.write(CONFIGURATION.format(place=place, host=HOST, port=port))
command = ["nginx", "-c", f"{place}/conf", "-e", f"{place}/errors"]
server = subprocess.Popen(command)
assert listens(port, server), open(f"{place}/errors").read()
with concurrent.futures.ThreadPoolExecutor(CLIENTS) as pool:
    for answers in pool.map(lambda _: ask(port, ["/small", "/proxied/small"] * REQUESTS), range(CLIENTS)):
        assert answers == [(200, b"a small page\n")] * 2 * REQUESTS, answers[:3]
[(status, body), (missing, _)] = ask(port, ["/large", "/none"])
assert status == 200 and hashlib.sha256(body).digest() == large and missing == 404
# New processes take over the port while the old ones end.
subprocess.run([*command, "-s", "reload"], check=True)
for _ in range(20):
    assert ask(port, ["/small"]) == [(200, b"a small page\n")]
subprocess.run([*command, "-s", "quit"], check=True)
assert server.wait(60) == 0
for line in open(f"{place}/errors"):
    # That a page is not there it tells as an error.
    assert "[alert]" not in line and "[emerg]" not in line and ("[error]" not in line or "No such file" in line), line
shutil.rmtree(place)
print("all well")
