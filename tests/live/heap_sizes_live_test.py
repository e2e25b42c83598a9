"""How often blocks of each size are asked for and freed: heap?debug=1."""
import pytest

import daemon_process
from heap_truth import HeapTarget
from pprof_client import PprofClient


@pytest.fixture(scope="module")
def generous(tmp_path_factory):
    """A client of a daemon that watches every call, whatever it costs."""
    daemon = daemon_process.DaemonProcess(
        tmp_path_factory.mktemp("generous"),
        config="heap:\n  budget_percent: 1000\n")
    daemon.wait_until_listening()
    yield PprofClient(daemon.url)
    assert daemon.stop() == 0, daemon.output()[-4000:]


def begin(client, pid, rate):
    assert client.get("heap", pid=pid, rate=rate).status == 200


def by_size(client, pid):
    """How well frees are known; mallocs and frees by the bounds of a class."""
    reply = client.get("heap", pid=pid, debug=1)
    assert reply.status == 200, reply.text
    lines = [line for line in reply.text.splitlines() if "BySize" in line]
    key, quality = lines[0].split(" = ")
    assert key == "# proc.BySizeFrees"
    sizes = {}
    for line in lines[1:]:
        bounds, counts = line.removeprefix("# proc.BySize[").split("] = ")
        first, last = map(int, bounds.split("-"))
        sizes[first, last] = tuple(counts.split(" "))
    return quality, sizes


def test_every_call_counts_when_every_block_is_sampled(generous, tmp_path):
    with HeapTarget("heap_sites", ["hold", 3000, 64], tmp_path) as held:
        with HeapTarget("heap_sites", ["api"], tmp_path) as api:
            for target in (held, api):
                begin(generous, target.pid, 1)
                target.act()
            assert by_size(generous, held.pid) == (
                "counted", {(33, 64): ("3000", "0")})
            # 12,000 blocks of 96 bytes; 2,000 of them are freed.
            assert by_size(generous, api.pid) == (
                "counted", {(65, 128): ("12000", "2000")})
            held.act()
            assert by_size(generous, held.pid) == (
                "counted", {(33, 64): ("3000", "3000")})


def test_frees_are_estimated_of_sampled_blocks(generous, tmp_path):
    with HeapTarget("heap_sites", ["hold", 50_000, 4096], tmp_path) as target:
        begin(generous, target.pid, 65536)
        target.act()
        target.act()
        quality, sizes = by_size(generous, target.pid)
        assert quality == "estimated"
        assert list(sizes) == [(2049, 4096)]
        mallocs, frees = sizes[2049, 4096]
        assert mallocs == "50000"
        assert abs(int(frees) / 50_000 - 1) < 0.1


def test_frees_are_not_known_when_only_windows_are_watched(client, tmp_path):
    with HeapTarget("heap_sites", ["mix", 100_000, 1], tmp_path) as target:
        begin(client, target.pid, 524288)
        target.go_on()
        assert client.get("heap", pid=target.pid, seconds=10).status == 200
        quality, sizes = by_size(client, target.pid)
        assert quality == "unknown"
        assert sizes and all(frees == "-" for _, frees in sizes.values())
