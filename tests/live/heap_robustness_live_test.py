"""Probes on allocators: what a target lives through, and what it leaves."""
import json
import os
import pathlib
import shutil
import signal
import subprocess
import time

import pytest

import daemon_process
from heap_live_test import heap, sums
from heap_truth import HeapTarget
from pprof_client import PprofClient
from pprof_profile import Profile
from redis_load import Benchmark, CountingClient, RedisServer
from target_code import TargetCode
from target_process import TARGETS_DIR
from waiting import wait_until

# How often probes come and go under load; 1000 takes some minutes.
CYCLES = int(os.environ.get("PPROFD_HEAP_CYCLES", "20"))
KILLS = 4
# Nothing stays attached when nobody waits; every call is watched.
AT_ONCE = "heap:\n  idle_time: 0s\n  budget_percent: 1000\n"
GENEROUS = "heap:\n  budget_percent: 1000\n"


@pytest.fixture
def daemons(tmp_path):
    """Starts daemons of this test alone; none outlives it."""
    started = []

    def start(config):
        directory = tmp_path / f"pprofd{len(started)}"
        directory.mkdir()
        started.append(daemon_process.DaemonProcess(directory, config=config))
        return started[-1].wait_until_listening()
    yield start
    try:
        for daemon in started:
            # Those that the test killed are not asked how they ended.
            if daemon.process.poll() is None:
                assert daemon.stop() == 0, daemon.output()[-4000:]
            else:
                assert daemon.process.returncode == -signal.SIGKILL
    finally:
        for daemon in started:
            daemon.kill()


def descriptors(daemon, key):
    """What the kernel says under `key` of what the daemon holds open."""
    found = []
    for info in pathlib.Path(f"/proc/{daemon.pid}/fdinfo").iterdir():
        try:
            lines = info.read_text(encoding="ascii").splitlines()
        except FileNotFoundError:
            continue
        found += [line.split(":")[1].strip() for line in lines
                  if line.startswith(key + ":")]
    return found


def count_links(daemon):
    """Programs that the daemon has attached, but to tracepoints."""
    return sum(kind not in ("tracing", "raw_tracepoint")
               for kind in descriptors(daemon, "link_type"))


def live_blocks_of(daemon):
    """The number of the daemon's table of blocks, for bpftool."""
    own = descriptors(daemon, "map_id")
    done = subprocess.run(["bpftool", "-j", "map", "list"], check=True,
                          capture_output=True)
    found = [table["id"] for table in json.loads(done.stdout)
             if table.get("name") == "live_blocks" and str(table["id"]) in own]
    assert len(found) == 1, found
    return found[0]


def entries(table):
    done = subprocess.run(["bpftool", "-j", "map", "dump", "id", str(table)],
                          check=True, capture_output=True)
    return len(json.loads(done.stdout))


class Cycler:
    """Has probes attached, sees them, and has them taken out again."""

    def __init__(self, daemons, server):
        self.daemons = daemons
        self.server = server
        self.code = TargetCode(server.pid, "libjemalloc")
        self.start()

    def start(self):
        self.daemon = self.daemons(AT_ONCE)
        self.client = PprofClient(self.daemon.url)
        self.links = count_links(self.daemon)

    def attach(self):
        """A request that is under way, with probes in place."""
        connection = self.client.connect()
        connection.request("GET", f"/debug/pprof/heap?pid={self.server.pid}"
                                  "&seconds=60")
        wait_until(self.code.is_probed, "probes are in place", pause=0.01)
        assert count_links(self.daemon) > self.links
        return connection

    def cycle(self):
        self.attach().close()
        wait_until(self.code.is_clean, "no probe is left", pause=0.01)

    def kill(self):
        """Kills the daemon while its probes are in place."""
        connection = self.attach()
        self.daemon.kill()
        wait_until(self.code.is_clean, "no probe outlives the daemon",
                   pause=0.01)
        connection.close()
        self.start()


@pytest.mark.skipif(not shutil.which("redis-server"), reason="no redis here")
def test_redis_under_load_lives_through_probes_coming_and_going(
        daemons, tmp_path):
    with RedisServer(tmp_path) as server, Benchmark(server) as benchmark, \
            CountingClient(server) as counting:
        cycler = Cycler(daemons, server)
        assert cycler.code.is_clean()
        begin = time.monotonic()
        for i in range(CYCLES):
            cycler.cycle()
            counting.check()
            benchmark.check()
            if (i + 1) * KILLS // CYCLES > i * KILLS // CYCLES:
                cycler.kill()
        seconds = time.monotonic() - begin
        assert cycler.code.is_clean()
        wait_until(lambda: count_links(cycler.daemon) == cycler.links,
                   "no link is left")
        # After all this it is watched as ever.
        profile = heap(cycler.client, server.pid, seconds=1)
        assert sums(profile)[1] > 0
        assert server.process.poll() is None
        assert counting.requests > 0
        before = counting.requests
        wait_until(lambda: counting.requests > before + 1000, "it goes on", 30)
        counting.check()
    print(f"{CYCLES} cycles and {KILLS} kills in {seconds:.0f} s, "
          f"{counting.requests} requests counted")


def test_a_probed_library_may_go_and_come_back(daemons, tmp_path):
    client = PprofClient(daemons(GENEROUS).url)
    calls = 300
    with HeapTarget("heap_unload", [TARGETS_DIR / "heap_plugin.so", calls],
                    tmp_path) as target:
        profile = heap(client, target.pid, rate=1)
        source = next(c for c in profile.comments if "heap_source" in c)
        assert "libheap_arena.so" in source and "libc.so" in source
        for step in ("loaded", "unloaded", "loaded again", "reloaded"):
            truth = target.act()
            assert truth.raw["mode"] == step
            is_mapped = "libheap_arena.so" in pathlib.Path(
                f"/proc/{target.pid}/maps").read_text(encoding="utf-8")
            assert is_mapped == (step != "unloaded")
            profile = heap(client, target.pid)
            truth.check_exact(profile)
            assert truth.wrong_callers(profile) == []
        target.finish()


def test_a_process_that_dies_with_many_blocks_leaves_none_behind(
        daemons, tmp_path):
    blocks = 100_000
    daemon = daemons(GENEROUS)
    client = PprofClient(daemon.url)
    table = live_blocks_of(daemon)
    links = count_links(daemon)
    with HeapTarget("heap_sites", ["hold", blocks, 64], tmp_path) as target:
        heap(client, target.pid, rate=1)
        target.act()
        profile = heap(client, target.pid)
        if sums(profile) != [blocks, 64 * blocks, blocks, 64 * blocks]:
            assert "events lost" in " ".join(profile.comments), sums(profile)
        assert entries(table) > 0
        assert count_links(daemon) > links
        # Asked before it dies, answered after.
        connection = client.connect()
        connection.request("GET", f"/debug/pprof/heap?pid={target.pid}"
                                  "&seconds=30")
        heap(client, target.pid)  # requests begin in their order
        target.process.send_signal(signal.SIGKILL)
        target.process.wait()
        begin = time.monotonic()
        assert connection.getresponse().status == 200
        assert time.monotonic() - begin < 5
        # To count a full table takes bpftool seconds.
        wait_until(lambda: entries(table) == 0, "its blocks are forgotten", 15)
        assert count_links(daemon) == links


@pytest.mark.parametrize("mode", ["strict", "filter"])
def test_a_process_that_may_call_nearly_nothing_is_not_killed(
        daemons, tmp_path, mode):
    """Neither when probes come, nor by what they do, nor when they go."""
    client = PprofClient(daemons(AT_ONCE).url)
    with HeapTarget("heap_seccomp", [mode, 5000], tmp_path) as target:
        code = TargetCode(target.pid, "libc.so")
        waiting = client.in_background(heap, client, target.pid, seconds=4,
                                       rate=1)
        wait_until(code.is_probed, "probes come")
        heap(client, target.pid)  # is answered when all are in place
        truths = [target.act(), target.act()]
        truths[-1].check_exact(waiting.result())
        assert truths[0].totals["allocs"] == 5000
        wait_until(code.is_clean, "no probe is left")
        target.go_on()
        assert target.process.wait(20) == 0


@pytest.mark.parametrize("name", ["allocs", "heap"])
def test_a_process_that_was_not_tracked_is_answered_for_in_time(
        daemons, tmp_path, name):
    """As scrapers ask, that give up after ten seconds."""
    client = PprofClient(daemons("# defaults\n").url)
    with HeapTarget("heap_sites", ["mix", 1_000_000, 2, 5000],
                    tmp_path) as target:
        target.go_on()
        reply = client.get(name, pid=target.pid)
        print(f"{name}: {reply.seconds:.2f} s")
        assert reply.status == 200 and reply.seconds < 10
        assert sums(Profile(reply.body))[1] > 0
        assert client.get(name, pid=target.pid).seconds < 2
        for other in ("block", "goroutine", "mutex"):
            assert client.get(other, pid=target.pid).seconds < 10
