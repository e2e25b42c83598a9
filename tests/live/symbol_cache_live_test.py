"""Names on disk: found once, known to the next daemon, never trusted blindly."""
import re

import pytest

import daemon_process
import pprof_client
from symbols_live_test import profile_chains
from target_process import TARGETS_DIR
from why_live_test import explain, module_of

PROGRAM = TARGETS_DIR / "burn_pie"


class Run:
    """One life of a daemon: what it found of a process, and how."""

    def __init__(self, directory, pid, **options):
        daemon = daemon_process.DaemonProcess(directory, **options)
        try:
            daemon.wait_until_listening()
            client = pprof_client.PprofClient(daemon.url)
            self.chains = profile_chains(
                client.profile(pid, seconds=2, hz=999), PROGRAM)
            module = module_of(explain(client, pid), PROGRAM)
            self.attempts = "\n".join(module["symbols"]["attempts"])
            self.counters = client.get("", debug=1).text
            assert daemon.stop() == 0
            self.log = daemon.output()
        finally:
            daemon.kill()

    def count(self, name):
        return int(re.search(rf"\b{name}\b\D*(\d+)", self.counters).group(1))


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "symbols"


def check_equal(chains, others):
    both = chains.keys() & others.keys()
    assert len(both) >= 3
    for address in both:
        assert chains[address] == others[address], hex(address)


def test_the_next_daemon_knows_the_names(tmp_path, folder, targets):
    pid = targets.burn("burn_pie").pid
    first = Run(tmp_path, pid)
    assert "compilation units" in first.attempts
    assert first.count("symbol_cache_misses") >= 1
    files = list(folder.iterdir())
    assert files and all(re.fullmatch("[0-9a-f]{64}", f.name) for f in files)
    second = Run(tmp_path, pid)
    answered = re.search(r"symbol cache: (\d+) addresses from disk",
                         second.attempts)
    assert answered and int(answered.group(1)) >= 3, second.attempts
    assert second.count("symbol_cache_hits") >= 1
    assert second.count("symbol_cache_disk_bytes") >= 4096
    check_equal(first.chains, second.chains)


def test_damaged_files_are_refused_and_written_anew(tmp_path, folder, targets):
    pid = targets.burn("burn_pie").pid
    first = Run(tmp_path, pid)
    for file in folder.iterdir():
        with open(file, "r+b") as opened:
            opened.truncate(file.stat().st_size - 1)
    second = Run(tmp_path, pid)
    assert second.count("symbol_cache_invalid") >= 1
    assert "compilation units" in second.attempts
    check_equal(first.chains, second.chains)
    assert "addresses from disk" in Run(tmp_path, pid).attempts


def test_without_a_folder_all_else_works(tmp_path, folder, targets):
    pid = targets.burn("burn_pie").pid
    folder.write_text("in the way")
    run = Run(tmp_path, pid)
    assert len(run.chains) >= 3
    assert "symbol cache" not in run.attempts
    assert run.log.count("names are not kept on disk") == 1
