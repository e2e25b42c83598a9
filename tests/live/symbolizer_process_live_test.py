"""The processes that read foreign files: their rights, and what losing one
costs."""
import contextlib
import os
import pathlib
import signal
import subprocess
import threading

import pytest

import daemon_process
import pprof_client
from target_process import TARGETS_DIR
from waiting import wait_until

ROLES = ("tables", "names")
# What a client waits for names, and what pprofd gives a silent symbolizer.
HANG_SECONDS = 25


@pytest.fixture
def own_daemon(tmp_path):
    """A daemon of the test's own: its symbolizers are going to die."""
    daemon = daemon_process.DaemonProcess(tmp_path)
    daemon.wait_until_listening()
    yield daemon
    daemon.check_alive()
    assert daemon.stop() == 0, daemon.output()[-4000:]


def symbolizers(daemon):
    """{role: pid} of the daemon's children."""
    found = {}
    for task in pathlib.Path(f"/proc/{daemon.pid}/task").iterdir():
        for child in (task / "children").read_text("ascii").split():
            command = pathlib.Path(f"/proc/{child}/cmdline").read_bytes()
            words = command.decode().split("\0")
            if words[0] == "pprofd-symbolizer":
                found[words[1]] = int(child)
    return found


def status_of(pid):
    lines = pathlib.Path(f"/proc/{pid}/status").read_text("ascii").splitlines()
    return dict(line.split(":\t", 1) for line in lines if ":\t" in line)


def files_of(pid):
    """{descriptor: what it is}"""
    files = {}
    for descriptor in pathlib.Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # just closed
            files[int(descriptor.name)] = os.readlink(descriptor)
    return files


def test_symbolizers_have_no_rights(own_daemon):
    found = symbolizers(own_daemon)
    assert sorted(found) == sorted(ROLES)
    for role, pid in found.items():
        status = status_of(pid)
        assert status["Name"] == "pprofd-symboliz", role  # all that fits
        assert status["Seccomp"] == "2", role
        assert status["NoNewPrivs"] == "1", role
        assert status["Uid"].split() == ["65534"] * 4, role
        assert status["Groups"].strip() == "", role
        for right in ("CapInh", "CapPrm", "CapEff", "CapAmb"):
            assert int(status[right], 16) == 0, (role, right)
        # What it is shown it gives back.
        wait_until(lambda pid=pid: sorted(files_of(pid)) == [0, 1, 2, 3],
                   f"{role} has its own files alone")
        assert files_of(pid)[3].startswith("socket:"), role
        limits = pathlib.Path(f"/proc/{pid}/limits").read_text("ascii")
        assert "Max data size             536870912 " in limits, limits


def test_the_daemon_itself_maps_no_file_of_a_target(own_daemon, targets):
    target = targets.burn("burn_pie")
    client = pprof_client.PprofClient(own_daemon.url)
    assert client.profile(target.pid, seconds=1).samples
    maps = pathlib.Path(f"/proc/{own_daemon.pid}/maps").read_text("ascii")
    assert str(TARGETS_DIR / "burn_pie") not in maps


def waits_for_it(pid):
    """Whether a request for the process `pid` lies in its socket."""
    inode = os.readlink(f"/proc/{pid}/fd/3").strip("socket:[]")
    lines = subprocess.run(["ss", "-xH"], capture_output=True, text=True,
                           check=True).stdout.splitlines()
    return any(fields[5] == inode and int(fields[2]) > 0
               for fields in (line.split() for line in lines))


class ProfileInBackground(threading.Thread):
    """Asks for a profile while the test does other things."""

    def __init__(self, client, pid):
        super().__init__()
        self.client = client
        self.pid = pid
        self.profile = None
        self.start()

    def run(self):
        self.profile = self.client.profile(self.pid, seconds=1)

    def result(self):
        self.join(60)
        assert self.profile is not None
        return self.profile


def missing_names(profile):
    return [line for line in profile.comments
            if line.startswith("names are missing: ")]


def names_in(profile):
    return {line.name for sample in profile.samples for loc in sample.user
            for line in loc.lines}


def test_a_killed_symbolizer_costs_names_of_one_profile(own_daemon, targets):
    target = targets.burn("burn_pie")
    client = pprof_client.PprofClient(own_daemon.url)
    pid = symbolizers(own_daemon)["names"]
    # Stopped, it surely dies in the middle of the query.
    os.kill(pid, signal.SIGSTOP)
    query = ProfileInBackground(client, target.pid)
    wait_until(lambda: waits_for_it(pid), "the symbolizer is asked", 30)
    os.kill(pid, signal.SIGKILL)
    lost = query.result()
    assert lost.samples
    said = missing_names(lost)
    assert len(said) == 1 and "killed by signal 9" in said[0], lost.comments
    whole = client.profile(target.pid, seconds=1)
    assert not missing_names(whole), whole.comments
    assert any("Leaf" in name or "leaf" in name for name in names_in(whole))
    assert symbolizers(own_daemon)["names"] != pid


def test_a_symbolizer_that_hangs_is_replaced(own_daemon, targets):
    target = targets.burn("burn_pie")
    client = pprof_client.PprofClient(own_daemon.url)
    pid = symbolizers(own_daemon)["names"]
    os.kill(pid, signal.SIGSTOP)
    late = client.profile(target.pid, seconds=1)
    assert late.samples
    assert any("time was up" in line for line in missing_names(late))

    def is_whole():
        return not missing_names(client.profile(target.pid, seconds=1))
    wait_until(is_whole, "another symbolizer answers", HANG_SECONDS + 30)
    assert symbolizers(own_daemon)["names"] != pid


def test_a_killed_table_builder_costs_no_table(own_daemon, targets):
    pid = symbolizers(own_daemon)["tables"]
    os.kill(pid, signal.SIGKILL)
    target = targets.burn("burn_o3")
    client = pprof_client.PprofClient(own_daemon.url)
    profile = client.profile(target.pid, seconds=1)
    assert profile.samples
    assert symbolizers(own_daemon)["tables"] != pid
    whole = client.profile(target.pid, seconds=1)
    assert not any(line.startswith("truncated: unwinder lost")
                   for line in whole.comments), whole.comments


def test_symbolizers_end_with_the_daemon(tmp_path):
    daemon = daemon_process.DaemonProcess(tmp_path)
    daemon.wait_until_listening()
    pids = symbolizers(daemon).values()
    os.kill(daemon.pid, signal.SIGKILL)
    daemon.process.wait(20)
    wait_until(lambda: not any(os.path.exists(f"/proc/{pid}") for pid in pids),
               "the symbolizers have gone", 20)
