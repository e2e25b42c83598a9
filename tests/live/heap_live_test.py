"""heap and allocs: what they say is what the programs did."""
import json
import os
import re
import signal
import subprocess
import sys
import urllib.parse

import pytest

import daemon_process
from heap_truth import HEAP_TYPES, HeapTarget
from pprof_client import PprofClient
from pprof_profile import Profile
from target_process import TARGETS_DIR
from waiting import wait_until

PRELOADS = {
    "jemalloc": "/usr/lib/x86_64-linux-gnu/libjemalloc.so.2",
    "tcmalloc": "/usr/lib/x86_64-linux-gnu/libtcmalloc_minimal.so.4",
    "mimalloc": "/usr/lib/x86_64-linux-gnu/libmimalloc.so.2.0",
}
# Name of the allocator, program.
ALLOCATORS = [
    ("glibc", "heap_sites"), ("jemalloc", "heap_sites"),
    ("tcmalloc", "heap_sites"), ("mimalloc", "heap_sites"),
    ("glibc", "heap_sites_static"), ("musl", "heap_sites_musl"),
    ("musl", "heap_sites_musl_static")]


@pytest.fixture(scope="module")
def generous_daemon(tmp_path_factory):
    """A daemon that watches every call, whatever it costs."""
    daemon = daemon_process.DaemonProcess(
        tmp_path_factory.mktemp("generous"),
        config="heap:\n  budget_percent: 1000\n")
    daemon.wait_until_listening()
    yield daemon
    assert daemon.stop() == 0, daemon.output()[-4000:]


@pytest.fixture
def generous(generous_daemon):
    yield PprofClient(generous_daemon.url)
    generous_daemon.check_alive()


def start(name, arguments, directory, allocator="glibc"):
    if not (TARGETS_DIR / name).exists():
        pytest.skip(f"{name} is not built here")
    environment = dict(os.environ)
    if allocator in PRELOADS:
        environment["LD_PRELOAD"] = PRELOADS[allocator]
    return HeapTarget(name, arguments, directory, env=environment)


def heap(client, pid, name="heap", **parameters):
    reply = client.get(name, pid=pid, **parameters)
    assert reply.status == 200, reply.text
    return Profile(reply.body)


def begin(client, pid, **parameters):
    """A connection on which heap was asked for, and has begun."""
    connection = client.connect()
    query = urllib.parse.urlencode({"pid": pid, **parameters})
    connection.request("GET", f"/debug/pprof/heap?{query}")
    # Requests begin in the order in which they come.
    heap(client, pid)
    return connection


def sums(profile):
    """The totals of all four values."""
    totals = [0] * 4
    for sample in profile.message.sample:
        for i, value in enumerate(sample.value):
            totals[i] += value
    return totals


def comment_with(profile, text):
    found = [line for line in profile.comments if text in line]
    assert found, (text, profile.comments)
    return found[0]


def leave_out_callers_of_musl(truth):
    """Its own functions have no unwind data: who called them is not known."""
    for name in ("calloc", "posix_memalign", "strdup", "strndup"):
        del truth.sites[f"api_{name}"]


@pytest.mark.parametrize("allocator,program", ALLOCATORS, ids=map("-".join, ALLOCATORS))
def test_every_call_of_every_function_is_counted_once(
        generous, tmp_path, allocator, program):
    with start(program, ["api"], tmp_path, allocator) as target:
        heap(generous, target.pid, rate=1)
        truth = target.act()
        profile = heap(generous, target.pid)
        if allocator == "jemalloc":
            # Has none; libc's gives memory that jemalloc knows nothing of.
            del truth.sites["api_pvalloc"]
        elif allocator == "tcmalloc":
            # Its asks its memalign for whole pages.
            truth.sites["api_pvalloc"].alloc_space = 1000 * 4096
            truth.sites["api_pvalloc"].inuse_space = 1000 * 4096
        elif allocator == "musl":
            assert sums(profile)[:2] == [truth.totals["allocs"],
                                         truth.totals["bytes"]]
            leave_out_callers_of_musl(truth)
        truth.check_exact(profile)
        assert truth.wrong_callers(profile) == []
        assert allocator in comment_with(profile, "heap_source")
        target.finish()


@pytest.mark.parametrize("allocator", ["glibc", *PRELOADS])
def test_operators_new_and_delete_are_counted_once(
        generous, tmp_path, allocator):
    with start("heap_new", [1000], tmp_path, allocator) as target:
        heap(generous, target.pid, rate=1)
        truth = target.act()
        profile = heap(generous, target.pid)
        if allocator in PRELOADS:
            comment_with(profile, "operator new are not in inuse_*")
            said = truth.sums_of(profile)
            for name, site in truth.sites.items():
                assert said[name].alloc_objects == site.alloc_objects, name
                assert said[name].alloc_space == site.alloc_space, name
        else:
            truth.check_exact(profile)
        assert truth.wrong_callers(profile) == []
        truth = target.act()
        assert sums(heap(generous, target.pid))[2:] == [0, 0]
        target.finish()


@pytest.mark.parametrize("allocator,program", ALLOCATORS, ids=map("-".join, ALLOCATORS))
def test_sampled_sums_are_no_further_from_the_truth_than_chance(
        generous, tmp_path, allocator, program):
    with start(program, ["mix", 400, 4], tmp_path, allocator) as target:
        heap(generous, target.pid)
        truth = target.act(120)
        profile = heap(generous, target.pid)
        assert profile.message.period == 524288
        said = sums(profile)
        assert abs(said[1] / truth.totals["bytes"] - 1) < 0.05
        if allocator == "musl":
            return  # as some callers are not known
        truth.check_sampled(profile)
        assert truth.wrong_callers(profile) == []
        target.finish()


def test_blocks_freed_by_another_thread_are_freed(generous, tmp_path):
    with start("heap_sites", ["pass", 2000, 2], tmp_path) as target:
        heap(generous, target.pid, rate=1)
        truth = target.act(120)
        truth.check_exact(heap(generous, target.pid))
        target.finish()


def test_rust_programs_are_like_others(generous, tmp_path):
    with start("heap_rust", [], tmp_path) as target:
        heap(generous, target.pid, rate=1)
        truth = target.act()
        truth.check_exact(heap(generous, target.pid))
        target.finish()


def test_held_blocks_are_in_use_until_they_are_freed(generous, tmp_path):
    with start("heap_sites", ["hold", 50_000, 1024], tmp_path) as target:
        before = heap(generous, target.pid, rate=1)
        assert "tracking began" in comment_with(before, "tracking")
        target.act()
        held = sums(heap(generous, target.pid))
        assert held[2:] == [50_000, 51_200_000]
        sample = next(s for s in heap(generous, target.pid).message.sample
                      if s.value[2])
        assert [label.num for label in sample.label] == [1024]
        target.act()
        freed = sums(heap(generous, target.pid))
        assert freed[:2] == held[:2] and freed[2:] == [0, 0]
        target.finish()


def test_a_difference_shows_what_was_freed_meanwhile(generous, tmp_path):
    with start("heap_sites", ["hold", 20_000, 1024], tmp_path) as target:
        heap(generous, target.pid, rate=1)
        target.act()
        assert sums(heap(generous, target.pid))[2] == 20_000
        target.go_on()
        reply = generous.get("heap", pid=target.pid, from_="-60s")
        assert reply.status == 200
        target.next_truth()
        change = heap(generous, target.pid, seconds=1)
        assert change.message.duration_nanos >= 1_000_000_000
        past = heap(generous, target.pid, from_="-60s")
        assert sums(past) == [20_000, 20_480_000, 0, 0]
        target.finish()


def test_a_second_of_a_freeing_program_is_negative(generous, tmp_path):
    with start("heap_sites", ["hold", 20_000, 1024], tmp_path) as target:
        heap(generous, target.pid, rate=1)
        target.act()
        connection = begin(generous, target.pid, seconds=2)
        target.go_on()
        change = Profile(connection.getresponse().read())
        assert change.sample_types == HEAP_TYPES
        assert sums(change)[2:] == [-20_000, -20_480_000]
        target.next_truth()
        target.finish()


def test_pprof_leads_with_the_caller_and_not_malloc(
        client, tmp_path, go_pprof):
    with start("heap_sites", ["hold", 50_000, 1024], tmp_path) as target:
        url = f"{client.base}/debug/pprof/heap?pid={target.pid}"
        heap(client, target.pid)
        target.act()
        top = go_pprof.output("-top", url)
        assert "Type: inuse_space" in top
        lines = top.split("flat%")[1].splitlines()[1:]
        assert not re.search(r"\bmalloc$", lines[0]), top
        allocs = go_pprof.output("-top", url.replace("heap?", "allocs?"))
        assert "Type: alloc_space" in allocs
        assert go_pprof.output("-top", "-sample_index=alloc_objects", url)
        base = tmp_path / "base.pb.gz"
        base.write_bytes(client.get("heap", pid=target.pid).body)
        assert go_pprof.output("-top", "-diff_base", base, url)
        target.act()
        target.finish()


@pytest.mark.parametrize("name", ["heap", "allocs"])
def test_parameters_are_taken_as_go_takes_them(client, tmp_path, name):
    with start("heap_sites", ["hold", 10, 64], tmp_path) as target:
        wrong = 'invalid value for "seconds" - must be a positive integer\n'
        for seconds in ("0", "-1", "abc", "1.5", "0x1"):
            reply = client.get(name, pid=target.pid, seconds=seconds)
            assert (reply.status, reply.text) == (400, wrong)
            assert reply.headers["X-Go-Pprof"] == "1"
            assert "Content-Disposition" not in reply.headers
        reply = client.get(name, pid=target.pid, seconds=1, debug=1)
        assert reply.status == 400 and reply.seconds < 0.5
        assert reply.text == "seconds and debug params are incompatible\n"
        plain = client.get(name, pid=target.pid, seconds="")
        assert plain.status == 200
        assert f'filename="{name}"' in plain.headers["Content-Disposition"]
        path = client.request(f"/pid/{target.pid}/debug/pprof/{name}")
        for header in ("Content-Type", "Content-Disposition"):
            assert path.headers[header] == plain.headers[header]
        assert Profile(path.body).sample_types == HEAP_TYPES
        delta = client.get(name, pid=target.pid, seconds=1)
        assert (f'filename="{name}-delta"'
                in delta.headers["Content-Disposition"])
        message = Profile(delta.body).message
        default = message.string_table[message.default_sample_type]
        assert default == ("alloc_space" if name == "allocs" else "")
        text = client.get(name, pid=target.pid, debug=1)
        assert text.headers["Content-Type"].startswith("text/plain")
        assert "Content-Disposition" not in text.headers
        assert Profile(client.get(name, pid=target.pid, debug="abc").body)
        assert client.get(name, pid=target.pid, gc=1).status == 200
        assert client.get(name, pid=target.pid, rate=0).status == 400
        assert client.get(name).text == "pid parameter is required\n"


def test_text_says_the_same_as_the_profile(generous, tmp_path, go_pprof):
    with start("heap_sites", ["hold", 50_000, 4096], tmp_path) as target:
        heap(generous, target.pid)
        target.act()
        profile = heap(generous, target.pid)
        text = generous.get("heap", pid=target.pid, debug=1).text
        assert re.match(r"heap profile: \d+: \d+ \[\d+: \d+\] @ "
                        r"heap/1048576\n", text)
        file = tmp_path / "heap.txt"
        file.write_text(text)
        raw = go_pprof.output("-raw", "-symbolize=none", file)
        said = [0] * 4
        for values in re.findall(r"^\s*(\d+)\s+(\d+)\s+(\d+)\s+(\d+):", raw,
                                 re.MULTILINE):
            said = [a + int(b) for a, b in zip(said, values)]
        for a, b in zip(said, sums(profile)):
            assert abs(a - b) <= len(profile.samples), (said, raw)
        assert str(TARGETS_DIR / "heap_sites") in raw
        keys = re.findall(r"^# (\w+) = ", text, re.MULTILINE)
        assert keys[0] == "Alloc" and keys[-1] == "MaxRSS", keys
        assert len(keys) == 27
        numbers = dict(re.findall(r"^# (\w+) = (\d+)$", text, re.MULTILINE))
        status = open(f"/proc/{target.pid}/status", encoding="ascii").read()
        peak = int(re.search(r"VmHWM:\s+(\d+)", status).group(1))
        assert int(numbers["MaxRSS"]) == peak * 1024
        assert int(numbers["Mallocs"]) == 50_000
        assert int(numbers["TotalAlloc"]) == 50_000 * 4096
        assert "--- Memory map: ---" in text
        target.act()
        target.finish()


def test_what_cannot_be_tracked_says_why(client, tmp_path):
    with start("heap_sites_static_stripped", ["hold", 10, 64],
               tmp_path) as target:
        reply = client.get("heap", pid=target.pid)
        assert reply.status == 500
        assert reply.text.startswith("Could not enable heap profiling: ")
        assert "static program without symbols" in reply.text
        assert client.get("profile", pid=target.pid, seconds=1).status == 200
        why = client.get("why", pid=target.pid, format="json")
        problem = json.loads(why.text)["heap"]["problem"]
        assert "static program without symbols" in problem
        page = client.get("why", pid=target.pid).text
        assert "Allocations cannot be sampled" in page
    reply = client.get("heap", pid=2)
    assert (reply.status, reply.text) == (
        500, "Could not enable heap profiling: a kernel thread has no heap\n")
    reply = client.get("allocs", pid=target.pid)
    assert (reply.status, reply.text) == (
        404, f"no such process: {target.pid}\n")


def test_why_names_the_allocator(client, tmp_path):
    with start("heap_sites", ["hold", 10, 64], tmp_path, "jemalloc") as target:
        why = json.loads(client.get("why", pid=target.pid, format="json").text)
        assert PRELOADS["jemalloc"] in why["heap"]["allocators"]
        assert "libc.so" not in why["heap"]["allocators"]
        assert why["heap"]["functions"] > 8
        assert not why["heap"]["single_stepped"]


def test_a_process_that_allocates_too_often_is_watched_in_windows(
        client, tmp_path):
    with start("heap_sites", ["mix", 100_000, 1], tmp_path) as target:
        heap(client, target.pid)
        target.go_on()
        profile = heap(client, target.pid, seconds=15)
        assert "windows of time" in comment_with(profile, "too often")
        assert comment_with(profile, "inuse_*: not available")
        said = sums(profile)
        assert said[2:] == [0, 0] and said[1] > 0


def test_a_target_that_dies_meanwhile_gives_what_was_seen(generous, tmp_path):
    with start("heap_sites", ["hold", 50_000, 1024], tmp_path) as target:
        heap(generous, target.pid, rate=1)
        target.act()
        connection = begin(generous, target.pid, seconds=30)
        target.process.send_signal(signal.SIGKILL)
        reply = connection.getresponse()
        assert reply.status == 200
        assert comment_with(Profile(reply.read()), "exited")


# mimalloc, as Debian builds it, throws nothing: it ends the program.
@pytest.mark.parametrize("allocator", ["glibc", "jemalloc", "tcmalloc"])
def test_exceptions_of_operator_new_reach_their_handlers(
        generous, tmp_path, allocator):
    source = tmp_path / "throwing.cc"
    source.write_text(THROWING_PROGRAM)
    program = tmp_path / "throwing"
    subprocess.run(["g++-12", "-O2", source, "-o", program], check=True)
    environment = dict(os.environ)
    if allocator in PRELOADS:
        environment["LD_PRELOAD"] = PRELOADS[allocator]
    with subprocess.Popen([program], stdin=subprocess.PIPE, text=True,
                          stdout=subprocess.PIPE, env=environment) as target:
        assert target.stdout.readline() == "ready\n"
        heap(generous, target.pid, rate=1)
        target.stdin.write("\n")
        target.stdin.flush()
        assert target.stdout.readline() == "caught 100\n"
        assert target.wait(20) == 0


THROWING_PROGRAM = """
#include <sys/resource.h>
#include <cstdio>
#include <new>
int main() {
  setvbuf(stdout, nullptr, _IONBF, 0);
  rlimit limit = {1u << 30, 1u << 30};
  setrlimit(RLIMIT_AS, &limit);
  std::puts("ready");
  std::getchar();
  int caught = 0;
  for (int i = 0; i < 100; ++i) {
    try {
      void* volatile block = ::operator new(size_t{2} << 30);
      ::operator delete(block);
    } catch (const std::bad_alloc&) {
      ++caught;
    }
  }
  std::printf("caught %d\\n", caught);
}
"""


def test_children_do_not_pay_for_their_parents_probes(generous, tmp_path):
    """Pairs of a child per CPU second, before and with tracking."""
    with subprocess.Popen([sys.executable, "-c", FORKING_PROGRAM],
                          stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          text=True) as target:
        def child_ns():
            target.stdin.write("\n")
            target.stdin.flush()
            return float(target.stdout.readline())
        child_ns()
        bare = child_ns()
        heap(generous, target.pid)
        assert child_ns() < 3 * bare
        target.stdin.close()
        assert target.wait(20) == 0


FORKING_PROGRAM = """
import ctypes, os, sys, time
libc = ctypes.CDLL(None)
for line in sys.stdin:
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        time.sleep(2)  # the probes are taken out within a second
        start = time.thread_time_ns()
        for _ in range(20000):
            bytearray(5000)
        spent = (time.thread_time_ns() - start) / 20000
        os.write(write, b"%.1f" % spent)
        os._exit(0)
    os.waitpid(child, 0)
    print(os.read(read, 100).decode(), flush=True)
    os.close(read)
    os.close(write)
"""


def test_a_program_that_execs_is_asked_about_anew(generous, tmp_path):
    script = (f"echo ready; read line; "
              f"exec {TARGETS_DIR}/heap_sites hold 1000 100")
    with subprocess.Popen(["/bin/sh", "-c", script], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE, text=True) as target:
        assert target.stdout.readline() == "ready\n"
        heap(generous, target.pid)
        target.stdin.write("\n")
        target.stdin.flush()
        assert target.stdout.readline().startswith("ready")
        # A request after the program has changed is about the new one.
        wait_until(lambda: "tracking began" in comment_with(
            heap(generous, target.pid, rate=1), "tracking"), "it is tracked")
        target.stdin.write("\n")
        target.stdin.flush()
        assert json.loads(target.stdout.readline())["mode"] == "hold"
        assert sums(heap(generous, target.pid))[:2] == [1000, 100_000]
        target.stdin.close()
        target.wait(20)


def test_a_target_outlives_a_daemon_that_is_killed(tmp_path):
    daemon = daemon_process.DaemonProcess(tmp_path)
    daemon.wait_until_listening()
    client = PprofClient(daemon.url)
    with start("heap_sites", ["mix", 2000, 2], tmp_path) as target:
        heap(client, target.pid)
        target.go_on()
        daemon.kill()
        assert target.next_truth(120).totals
        target.finish()
