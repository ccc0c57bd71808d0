"""Runs tests side by side and reports: a line for each as it ends, a table of the failures, `N passed, N failed`."""

import collections
import dataclasses
import fnmatch
import os
import threading
import time
import traceback

from harness import sessions
from harness.console import plain
from harness.plan import Context, Failure, Test

MAX_JOBS = 8
TAIL_LINES = 40


@dataclasses.dataclass
class Result:
    """How a test ended; `why` is empty when it passed."""

    test: Test
    why: str
    seconds: float
    shown: str = ""  # figures for the person who runs the tests


def select(tests: list[Test], pattern: str) -> list[Test]:
    """The tests whose name holds or matches the pattern, and those they need, in their order."""
    if not pattern:
        return tests
    by_name = {test.name: test for test in tests}
    wanted = {t.name for t in tests if pattern in t.name or fnmatch.fnmatch(t.name, pattern)}
    todo = list(wanted)
    while todo:
        for need in by_name[todo.pop()].needs:
            if need not in wanted:
                wanted.add(need)
                todo.append(need)
    return [test for test in tests if test.name in wanted]


class Runner:
    """The schedule. All fields are guarded by `changed`, a condition that is notified when a test ends."""

    def __init__(self, tests: list[Test], quiet: bool = False) -> None:
        self.quiet = quiet  # for the runner's own test
        self.total = len(tests)
        self.names = {test.name for test in tests}
        self.waiting = list(tests)
        self.running: list[Test] = []
        self.results: dict[str, Result] = {}
        self.changed = threading.Condition()

    def run_all(self) -> list[Result]:
        """Runs everything; returns when the last test has ended."""
        jobs = int(os.environ.get("JOBS") or min(os.cpu_count() or 1, MAX_JOBS))
        workers = [threading.Thread(target=self.work, daemon=True) for _ in range(max(1, jobs))]
        if jobs > 1:
            workers.append(threading.Thread(target=self.work, args=[True], daemon=True))
        for worker in workers:
            worker.start()
        try:
            for worker in workers:
                worker.join()
        except KeyboardInterrupt:
            self.give_up()
            for worker in workers:
                worker.join()
            raise
        return list(self.results.values())

    def give_up(self) -> None:
        """Begins no further test and ends what the running ones have started; nothing is reported any more."""
        with self.changed:
            self.quiet = True
            self.waiting.clear()
            self.changed.notify_all()
        sessions.end_all()

    def work(self, waits: bool = False) -> None:
        """One worker: takes what may start now, until nothing is left; of tests that wait alone, if it `waits`."""
        while True:
            with self.changed:
                test = self.take(waits)
                while test is None and self.waiting:
                    self.changed.wait()
                    test = self.take(waits)
                if test is None:
                    return
                self.running.append(test)
            result = self.run_one(test)
            with self.changed:
                self.running.remove(test)
                self.finish(result)

    def take(self, waits: bool) -> Test | None:
        """The first test that may start, those that wait only after the others; or, if it `waits`, the first of these. Tests whose need
        has failed are finished here, unrun."""
        for test in sorted(self.waiting, key=lambda test: test.waits):
            failed = [n for n in test.needs if n in self.results and self.results[n].why]
            if failed:
                self.waiting.remove(test)
                self.finish(Result(test, f"not run: it needs {failed[0]}, which failed", 0))
            elif (test.waits or not waits) and self.may_start(test):
                self.waiting.remove(test)
                return test
        return None

    def may_start(self, test: Test) -> bool:
        """Its needs are met, nobody has what it holds, and nobody wants to be alone."""
        if any(n in self.names and n not in self.results for n in test.needs):
            return False
        if any(other.alone for other in self.running) or (test.alone and self.running):
            return False
        return not test.holds or all(other.holds != test.holds for other in self.running)

    def run_one(self, test: Test) -> Result:
        """Runs the test in this thread; whatever it raises is its failure."""
        start = time.monotonic()
        context = Context(test)
        why = ""
        try:
            test.run(context)
        except Failure as failure:
            why = str(failure) or "failed"
        except Exception as error:  # a mistake in the test itself must count, too
            context.say(traceback.format_exc())
            why = f"{type(error).__name__}: {error}"
        if why:
            context.say(f"FAILED: {why}")
        return Result(test, why, time.monotonic() - start, context.shown)

    def finish(self, result: Result) -> None:
        """Records and reports an ended test."""
        self.results[result.test.name] = result
        self.changed.notify_all()
        if self.quiet:
            return
        word = "FAILED" if result.why else "ok"
        print(f"[{len(self.results):3}/{self.total}] {word:6} {result.test.name:42} {result.seconds:7.1f} s", flush=True)
        for line in result.shown.splitlines():
            print(f"          | {line}", flush=True)
        if result.why:
            print(f"          {result.why}", flush=True)
            if result.seconds > 0:
                show_tail(result.test)


def show_tail(test: Test) -> None:
    """The last lines of a failed test's log, which for a boot is its console."""
    log = Context.log_of(test)
    lines = plain(log.read_text(encoding="utf-8", errors="replace")).splitlines()
    print(f"          --- last lines of {log}")
    for line in lines[-TAIL_LINES:]:
        print(f"          | {line}")
    print("          ---", flush=True)


def summary(results: list[Result]) -> bool:
    """Prints the table and the last line; true when nothing failed."""
    kinds: dict[str, list[Result]] = collections.defaultdict(list)
    for result in results:
        kinds[result.test.name.split("/")[0]].append(result)
    print(f"\n{'kind':14}{'passed':>8}{'failed':>8}{'seconds':>10}")
    for kind, group in kinds.items():
        failed = sum(1 for r in group if r.why)
        print(f"{kind:14}{len(group) - failed:8}{failed:8}{sum(r.seconds for r in group):10.1f}")
    failures = [r for r in results if r.why]
    for result in failures:
        print(f"FAILED {result.test.name}: {result.why}")
    print(f"\n{len(results) - len(failures)} passed, {len(failures)} failed", flush=True)
    return not failures
