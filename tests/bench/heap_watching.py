"""Watching a program's allocations, and what the program does meanwhile."""
import concurrent.futures
import contextlib
import dataclasses
import re
import statistics
import time

import peers
from measuring import log
from pprof_profile import Profile
from waiting import TimedOut, wait_until

STRETCH_SECONDS = 1.5
PIECE_SECONDS = 0.1
WINDOWS_SECONDS = 7   # at least, and from the end of a window to that of one
SLOW_SECONDS = 4      # an answer; the first is meant to take 3
SPENT_SECONDS = 10    # until the budget must have been spent
PROFILER = ("nice", "-n", "-15")  # never waits for what it watches
WATCHED = re.compile(r"calls of the allocator watched: (\d+), at (\d+) ns")


@dataclasses.dataclass
class Stretch:
    """Work done and CPU time used for it; hits as pprofd counts them."""
    units: float
    cpu_ns: float
    hits: int = 0
    seconds: float = 0
    pieces: list = dataclasses.field(default_factory=list)  # ns a unit

    @property
    def each_ns(self):
        return self.cpu_ns / self.units

    @property
    def calm_ns(self):
        """Of the quarter of the pieces that met the fewest disturbances."""
        return statistics.quantiles(self.pieces, n=4)[0]

    def __add__(self, other):
        return Stretch(self.units + other.units, self.cpu_ns + other.cpu_ns,
                       pieces=self.pieces + other.pieces)


class Tracking:
    """A process that pprofd has been asked about."""

    def __init__(self, pprofd, pid):
        self.client = pprofd.client
        self.pid = pid
        self.begin = time.monotonic()
        self.first = self.client.in_background(self.client.get, "heap",
                                               pid=pid)
        wait_until(lambda: self.first.done() or self.hits(), "probes are hit",
                   20, pause=0.1)

    def comments(self):
        while True:
            reply = self.client.get("heap", pid=self.pid)
            if reply.seconds > SLOW_SECONDS:
                log(f"heap: an answer took {reply.seconds:.1f} s")
            if reply.status == 200:
                return "\n".join(Profile(reply.body).comments)
            if reply.status != 503:  # the process was being attached to
                raise RuntimeError(f"heap: {reply.status} {reply.text}")

    def hits(self):
        return int(WATCHED.search(self.comments()).group(1))

    def ns_said(self):
        return int(WATCHED.search(self.comments()).group(2))

    def wait_for_windows(self):
        """False when it can be watched all the time."""
        with contextlib.suppress(TimedOut):
            wait_until(lambda: "windows of time" in self.comments(),
                       "the budget is spent", SPENT_SECONDS, pause=0.1)
            return True
        return False

    def wait_for_window_end(self, seconds=70):
        """The hits until then."""
        before = now = self.hits()
        deadline = time.monotonic() + seconds
        while True:
            time.sleep(0.2)
            last, now = now, self.hits()
            if now == last != before:
                return now
            if time.monotonic() > deadline:
                raise TimedOut(f"no window in {seconds} s")

    def wait_whole_windows(self):
        """(hits, seconds) from now on."""
        hits, start = self.hits(), time.monotonic()
        while True:
            now = self.wait_for_window_end()
            if time.monotonic() - start >= WINDOWS_SECONDS:
                return now - hits, time.monotonic() - start


@contextlib.contextmanager
def daemon(directory, config=""):
    pprofd = peers.Pprofd(directory, PROFILER)
    pprofd.start_daemon(config)
    try:
        pprofd.wait_until_settled()
        yield pprofd
    finally:
        pprofd.stop_daemon()


def at_once(function, *lists):
    """function(...) of each, on threads."""
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        return list(pool.map(function, *lists))


def measure(program, seconds=STRETCH_SECONDS):
    points = [program.point()]
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        time.sleep(PIECE_SECONDS)
        points.append(program.point())
    return between(points)


def between(points):
    return Stretch(points[-1][0] - points[0][0], points[-1][1] - points[0][1],
                   pieces=[(after[1] - before[1]) / (after[0] - before[0])
                           for before, after in zip(points, points[1:])
                           if after[0] > before[0]])
