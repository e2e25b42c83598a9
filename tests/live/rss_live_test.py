"""rss: where programs grow, compared with programs that know it."""
import json
import re
import signal
import time

import pytest

import daemon_process
from heap_truth import HeapTarget
from pprof_client import PprofClient
from pprof_profile import Profile
from stack_truth import plain_name, reaches_root
from waiting import wait_until

PAGE = 4096
MIB = 1 << 20
FAULTS_PER_SAMPLE = 128
RSS_TYPES = [("faults", "count"), ("rss", "bytes")]
SIGMAS = 4.5  # chance goes further less than once in 100,000 tests


class Truth:
    """What `grow` says it did: pages by site, bytes that it grew by."""

    def __init__(self, text):
        said = json.loads(text)
        self.grown = said["grown"]
        self.pages = {name: site["pages"]
                      for name, site in said["sites"].items()}
        self.callers = {name: site["caller"]
                        for name, site in said["sites"].items()}


class Grow(HeapTarget):
    """tests/targets/grow, which acts when it is told to."""

    def __init__(self, directory, mode, *arguments):
        super().__init__("grow", [mode, *arguments], directory)

    def act(self, seconds=60):
        self.go_on()

        def truths():
            lines = self.output().split("\n")[:-1]  # a whole line ends
            found = [line for line in lines if line.startswith("{")]
            return found[self.truths_seen:]
        line = wait_until(truths, f"{self.command} tells its truth", seconds)[0]
        self.truths_seen += 1
        return Truth(line)


@pytest.fixture(scope="module")
def exact_daemon(tmp_path_factory):
    """A daemon that samples every page fault."""
    daemon = daemon_process.DaemonProcess(
        tmp_path_factory.mktemp("exact"),
        config="rss:\n  faults_per_sample: 1\n")
    daemon.wait_until_listening()
    yield daemon
    assert daemon.stop() == 0, daemon.output()[-4000:]


@pytest.fixture
def exact(exact_daemon):
    yield PprofClient(exact_daemon.url)
    exact_daemon.check_alive()


def rss(client, pid, **parameters):
    reply = client.get("rss", pid=pid, **parameters)
    assert reply.status == 200, reply.text
    profile = Profile(reply.body)
    assert profile.sample_types == RSS_TYPES
    return profile


def names_of(sample):
    return tuple(plain_name(name) for name in sample.all_names)


def faults_by_site(profile, truth):
    """Page faults of each site; each sample is of one site at most."""
    faults = dict.fromkeys(truth.pages, 0)
    for sample in profile.samples:
        for site in faults.keys() & set(names_of(sample)):
            faults[site] += sample.count
    return faults


def check_stacks(profile, truth):
    for sample in profile.samples:
        assert sample.ns == sample.count * PAGE
        names = names_of(sample)
        assert reaches_root(sample), names
        for site in truth.pages.keys() & set(names):
            after = names[names.index(site) + 1:]
            assert after[:1] == (truth.callers[site],), names


def check_by_chance(faults, pages, period=FAULTS_PER_SAMPLE):
    bound = SIGMAS * (pages * period) ** 0.5
    assert abs(faults - pages) <= bound, (faults, pages, bound)


def watch_act(client, target, **parameters):
    """(truth, profile) of one act of which nothing was lost. Of the first ones
    stacks are, as the tables are not there yet."""
    for _ in range(10):
        capture = client.in_background(rss, client, target.pid, seconds=2,
                                       **parameters)
        time.sleep(0.7)  # until it has begun
        truth = target.act()
        profile = capture.result()
        if not any(line.startswith(("samples lost", "truncated: "))
                   for line in profile.comments):
            return truth, profile
    raise AssertionError(profile.comments)


def test_every_page_is_booked_to_its_first_touch(exact, tmp_path):
    with Grow(tmp_path, "touch", 8) as target:
        truth, profile = watch_act(exact, target)
        assert faults_by_site(profile, truth) == truth.pages
        check_stacks(profile, truth)
        assert profile.message.period == PAGE


def test_what_the_kernel_touches_for_a_program_is_booked_to_its_call(
        exact, tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"x" * 8 * MIB)
    with Grow(tmp_path, "read", 8, path) as target:
        truth, profile = watch_act(exact, target)
        assert faults_by_site(profile, truth) == truth.pages
        check_stacks(profile, truth)
        [leaf] = {names_of(sample)[0] for sample in profile.samples
                  if "read_file" in names_of(sample)}
        assert leaf in ("read", "__read", "__libc_read", "__GI___libc_read")


def test_threads_are_told_apart_by_label(exact, tmp_path):
    with Grow(tmp_path, "threads", 8) as target:
        truth, profile = watch_act(exact, target, labels="tid")
        assert faults_by_site(profile, truth) == truth.pages
        check_stacks(profile, truth)
        by_thread = {}
        for sample in profile.samples:
            if "touch_thread" in names_of(sample):
                tid = sample.labels["tid"]
                by_thread[tid] = by_thread.get(tid, 0) + sample.count
        assert sorted(by_thread.values()) == [2 * MIB // PAGE] * 4


def test_what_is_touched_again_is_no_growth(exact, tmp_path):
    with Grow(tmp_path, "idle", 32) as target:
        truth, profile = watch_act(exact, target)
        assert truth.grown < MIB  # the kernel counts in lumps
        # Its libraries may have a page left to be touched.
        assert profile.count < 16
        assert not any("idle_touch" in names_of(sample)
                       for sample in profile.samples)
        assert any("few samples (" in line for line in profile.comments)


def test_samples_stand_for_the_truth_within_chance(client, tmp_path):
    with Grow(tmp_path, "touch", 256) as target:
        truth = target.act()
        assert truth.grown >= 256 * MIB * 0.99
        profile = rss(client, target.pid)
        check_stacks(profile, truth)
        faults = faults_by_site(profile, truth)
        for site, pages in truth.pages.items():
            check_by_chance(faults[site], pages)
        total = sum(sample.count for sample in profile.samples)
        check_by_chance(total, truth.grown / PAGE)
        small = faults["touch_small"] / total
        assert abs(small - 0.25) < 0.1, faults
        assert profile.message.period == FAULTS_PER_SAMPLE * PAGE
        assert any("estimate of growth by first touch" in line
                   for line in profile.comments)


def test_seconds_give_what_comes_and_from_gives_what_was(client, tmp_path):
    with Grow(tmp_path, "touch", 128) as target:
        first = target.act()
        before = rss(client, target.pid)
        between = time.time()
        capture = client.in_background(rss, client, target.pid, seconds=4)
        time.sleep(1)  # until it has begun
        second = target.act()
        later = capture.result()
        everything = rss(client, target.pid)
        assert everything.count == before.count + later.count
        assert 3.9 <= later.message.duration_nanos / 1e9 <= 6
        past = rss(client, target.pid, from_="-10m")
        assert past.count == everything.count
        ending = rss(client, target.pid, from_="-10m", to=str(between))
        assert ending.count == before.count
        for profile, truth in ((before, first), (later, second)):
            check_by_chance(profile.count, sum(truth.pages.values()))


def test_a_process_that_is_gone_stays_in_history(client, tmp_path):
    with Grow(tmp_path, "touch", 64) as target:
        target.act()
        known = rss(client, target.pid)
        target.process.send_signal(signal.SIGKILL)
        target.process.wait()
        profile = rss(client, target.pid)
        assert profile.count == known.count
        assert client.get("rss", pid=target.pid, seconds=1).status == 404


def test_pprof_reads_profile_and_text_alike(client, tmp_path, go_pprof):
    with Grow(tmp_path, "touch", 256) as target:
        target.act()
        url = f"{client.base}/debug/pprof/rss?pid={target.pid}"
        top = go_pprof.output("-top", url)
        assert "Type: rss" in top
        assert re.search(r"MB.* touch_big$", top, re.M), top
        faults = go_pprof.output("-top", "-sample_index=faults", url)
        assert "touch_big" in faults
        text = tmp_path / "rss.txt"
        text.write_bytes(client.get("rss", pid=target.pid, debug=1).body)
        assert "touch_big" in text.read_text()
        raw = go_pprof.output("-raw", text)
        assert "objects/count space/bytes" in raw
        total = rss(client, target.pid)
        # Values of a record: "objects space: locations".
        said = [tuple(map(int, found)) for found in
                re.findall(r"^ +(\d+) +(\d+): [\d ]+$", raw, re.M)]
        assert sum(objects for objects, _ in said) == total.count
        assert sum(space for _, space in said) == total.ns


def test_rss_has_the_urls_and_pages_of_the_others(client, tmp_path):
    with Grow(tmp_path, "touch", 64) as target:
        target.act()
        page = client.get("", pid=target.pid).text
        count = re.search(r"<td>(\d+)</td><td><a href='rss\?", page)
        assert count and int(count.group(1)) > 0
        reply = client.request(f"/pid/{target.pid}/debug/pprof/rss")
        assert reply.status == 200
        assert 'filename="rss"' in reply.headers["Content-Disposition"]
        collapsed = client.get("rss", pid=target.pid, format="collapsed").text
        bytes_of = {line.rsplit(" ", 1)[0].split(";")[-1]:
                    int(line.rsplit(" ", 1)[1])
                    for line in collapsed.splitlines()}
        assert bytes_of["touch_big"] % PAGE == 0
        assert bytes_of["touch_big"] > 24 * MIB
        assert client.get("rss").status == 400


def test_who_has_no_allocator_is_sent_to_rss(client, tmp_path):
    with HeapTarget("heap_sites_static_stripped", ["hold", 10, 64],
                    tmp_path) as target:
        reply = client.get("heap", pid=target.pid)
        assert reply.status == 500
        assert (f"; /debug/pprof/rss?pid={target.pid} shows what touches "
                "memory first\n") in reply.text
        assert "<code>rss</code>" in client.get("why", pid=target.pid).text
        rss(client, target.pid)


def test_without_page_faults_the_other_kinds_go_on(tmp_path):
    daemon = daemon_process.DaemonProcess(
        tmp_path, config="rss:\n  enabled: false\n")
    try:
        daemon.wait_until_listening()
        client = PprofClient(daemon.url)
        with Grow(tmp_path, "idle", 16) as target:
            reply = client.get("rss", pid=target.pid)
            assert reply.status == 500
            assert reply.text == ("Could not enable rss profiling: "
                                  "rss.enabled is false\n")
            capture = client.in_background(client.profile, target.pid,
                                           seconds=2)
            target.act()
            assert capture.result()
    finally:
        assert daemon.stop() == 0, daemon.output()[-4000:]


def test_a_kernel_thread_has_no_rss(client):
    reply = client.get("rss", pid=2)
    assert reply.status == 500
    assert "a kernel thread has no user mode" in reply.text
