"""What a Python program does to a kernel: threads that share and wait, processes made in three ways, pipes.

Prints a line a subject, so that what is missing is seen; the last line is `all well`.
"""

import os
import signal
import subprocess
import sys
import threading
import time


def say(subject, result, wanted):
    print(f"{subject}: {result}", flush=True)
    if result != wanted:
        sys.exit(f"{subject}: {result!r}, not {wanted!r}")


def count_with_lock():
    total, lock = [0], threading.Lock()

    def add():
        for _ in range(2000):
            with lock:
                total[0] += 1

    threads = [threading.Thread(target=add) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return total[0]


def hand_over():
    turns, changed = [], threading.Condition()

    def play(own, other):
        for _ in range(50):
            with changed:
                changed.wait_for(lambda: not turns or turns[-1] == other)
                turns.append(own)
                changed.notify()

    turns.append("b")
    players = [threading.Thread(target=play, args=pair) for pair in (("a", "b"), ("b", "a"))]
    for player in players:
        player.start()
    for player in players:
        player.join()
    return "".join(turns) == "b" + "ab" * 50


def wait_with_timeout():
    start = time.monotonic()
    seen = threading.Event().wait(0.05)
    return not seen and 0.05 <= time.monotonic() - start < 30


def pipeline():
    first = subprocess.Popen(["seq", "1000"], stdout=subprocess.PIPE)
    second = subprocess.run(["wc", "-l"], stdin=first.stdout, capture_output=True, text=True, check=True)
    first.stdout.close()
    return first.wait(), second.stdout.strip()


def forked():
    here, there = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(there, b"from the child")
        os._exit(7)
    os.close(there)
    with os.fdopen(here, "rb") as pipe:
        text = pipe.read().decode()
    return text, os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def terminated():
    sleeper = subprocess.Popen(["sleep", "60"])
    sleeper.terminate()
    return sleeper.wait()


def processes_from_threads():
    results = [None] * 6

    def run(i):
        results[i] = subprocess.run(["sh", "-c", f"exit {i}"], check=False).returncode

    threads = [threading.Thread(target=run, args=(i,)) for i in range(len(results))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def handler():
    seen = []
    signal.signal(signal.SIGUSR1, lambda number, _: seen.append(number))
    os.kill(os.getpid(), signal.SIGUSR1)
    return seen == [signal.SIGUSR1]


say("threads count", count_with_lock(), 16000)
say("threads take turns", hand_over(), True)
say("a wait ends in time", wait_with_timeout(), True)
say("run", subprocess.run(["echo", "hi"], capture_output=True, text=True, check=True).stdout, "hi\n")
say("shell", subprocess.check_output("echo $((6 * 7))", shell=True, text=True), "42\n")
say("pipeline", pipeline(), (0, "1000"))
say("fork", forked(), ("from the child", 7))
say("terminated", terminated(), -signal.SIGTERM)
say("processes from threads", processes_from_threads(), [0, 1, 2, 3, 4, 5])
say("signal handler", handler(), True)
print("all well")
