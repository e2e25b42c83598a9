"""Debug files from a debuginfod server: asked by build ID, in the background.

The server is Debian's, in a network namespace of its own since it listens on
every address; a recording proxy on the loopback leads there.
"""
import os
import pathlib
import re
import shutil
import subprocess

import pytest

import daemon_process
import elf_names
from pprof_client import PprofClient
from recording_proxy import RecordingProxy
from target_process import TARGETS_DIR
from waiting import wait_until
from why_live_test import explain, module_of

SERVER = shutil.which("debuginfod")
PORT = 8002
STRIPPED = TARGETS_DIR / "burn_nameless"

pytestmark = pytest.mark.skipif(SERVER is None,
                                reason="no debuginfod is installed")


def build_id_of(path):
    notes = subprocess.run(["readelf", "-n", path], check=True,
                           capture_output=True, text=True).stdout
    return re.search(r"Build ID: ([0-9a-f]+)", notes).group(1)


BUILD_ID_PATH = "/buildid/{}/debuginfo"


class Server:
    """debuginfod over a folder of files, and the proxy before it."""

    def __init__(self, folder):
        environment = {"PATH": "/usr/bin:/bin:/usr/sbin:/sbin",
                       "HOME": str(folder)}
        self.files = folder / "files"
        self.files.mkdir()
        with open(folder / "server.log", "wb") as log:
            self.process = subprocess.Popen(
                ["unshare", "--net", "sh", "-c",
                 "ip link set lo up && exec \"$@\"", "sh",
                 SERVER, "-F", "--disable-source-scan", "--rescan-time=1",
                 "--database=:memory:", f"--port={PORT}", self.files],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env=environment)
        network = f"/proc/{self.process.pid}/ns/net"
        wait_until(lambda: os.readlink(network) != os.readlink(
            "/proc/self/ns/net"), "the server has a network of its own")
        self.proxy = RecordingProxy(f"http://127.0.0.1:{PORT}",
                                    network_of=self.process.pid)
        self.proxy.__enter__()

    @property
    def url(self):
        return self.proxy.base

    def add_debug_file(self, program):
        """Returns when the server has it; forgets the requests so far."""
        subprocess.run(["objcopy", "--only-keep-debug", program,
                        self.files / "one.debug"], check=True)
        path = BUILD_ID_PATH.format(build_id_of(program))
        client = PprofClient(self.url)
        wait_until(lambda: self.answers(client, path),
                   "debuginfod has the file", 60)
        self.proxy.requests.clear()

    @staticmethod
    def answers(client, path):
        try:
            return client.request(path).status == 200
        except OSError:
            return False

    def asked(self):
        return [path for _, path in self.proxy.requests]

    def stop(self):
        self.proxy.__exit__()
        self.process.kill()
        self.process.wait()


@pytest.fixture
def server(tmp_path):
    started = Server(tmp_path)
    yield started
    started.stop()


@pytest.fixture
def start_daemon(tmp_path):
    """start_daemon(*flags): a client of a daemon; stopped in the end.

    Those of a test have their cache in common.
    """
    daemons = []

    def start(*flags):
        daemon = daemon_process.DaemonProcess(
            tmp_path, arguments=("--http.listen=127.0.0.1:0", *flags))
        daemons.append(daemon)
        daemon.wait_until_listening()
        client = PprofClient(daemon.url)
        client.daemon = daemon
        return client

    yield start
    for daemon in daemons:
        assert daemon.stop() == 0, daemon.output()[-4000:]


def lines_of(profile, path):
    """(name, file, line) of every call in one file."""
    return {(line.name, line.file, line.line)
            for sample in profile.samples for loc in sample.user
            if loc.mapping_file == str(path) for line in loc.lines}


def attempts_of(client, pid, path):
    return module_of(explain(client, pid), path)["symbols"]["attempts"]


def thread_names(pid):
    return {task.joinpath("comm").read_text().strip()
            for task in pathlib.Path(f"/proc/{pid}/task").iterdir()}


def test_names_and_lines_come_with_the_profile_after_the_file(
        server, start_daemon, targets, tmp_path):
    server.add_debug_file(TARGETS_DIR / "burn_pie")
    store = tmp_path / "symbols" / "debuginfod"
    flag = f"--debuginfod.urls={server.url}"
    client = start_daemon(flag)
    assert "debuginfod" in thread_names(client.daemon.pid)
    target = targets.burn(path=STRIPPED)
    before = lines_of(client.profile(target.pid, seconds=1, hz=199), STRIPPED)
    assert not any(line for _, _, line in before), before

    file = store / f"{build_id_of(STRIPPED)}.debug"
    wait_until(file.exists, "the debug file has come", 30)
    attempts = wait_until(
        lambda: [text for text in attempts_of(client, target.pid, STRIPPED)
                 if text.startswith(f"{file}: ")],
        "why tells of the file")
    assert attempts[0].endswith("functions, and DWARF")
    after = lines_of(client.profile(target.pid, seconds=1, hz=499), STRIPPED)
    assert any(name == "leaf_a" and path.endswith(".cc") and line > 0
               for name, path, line in after), after
    module = module_of(explain(client, target.pid), STRIPPED)
    assert module["missing"] == [] and module["symbols"]["dwarf"]
    assert server.asked().count(BUILD_ID_PATH.format(
        module["build_id"])) == 1
    assert os.stat(store).st_mode & 0o777 == 0o700

    # The file is there for the next daemon, without a server.
    assert client.daemon.stop() == 0
    server.stop()
    client = start_daemon(flag)
    known = lines_of(client.profile(target.pid, seconds=1, hz=499), STRIPPED)
    assert any(name == "leaf_a" and line > 0 for name, _, line in known), known


def test_what_no_server_has_is_said_and_asked_once(
        server, start_daemon, targets, monkeypatch):
    server.add_debug_file(TARGETS_DIR / "burn_fp")
    monkeypatch.setenv("DEBUGINFOD_URLS", f"file:///etc {server.url}/")
    client = start_daemon("--debuginfod.urls=env")
    target = targets.burn(path=STRIPPED)
    client.profile(target.pid, seconds=1, hz=199)
    wait_until(
        lambda: any(text.startswith("debuginfod: no server has it (asked ")
                    for text in attempts_of(client, target.pid, STRIPPED)),
        "why says that no server has it", 30)
    client.profile(target.pid, seconds=1, hz=199)
    path = BUILD_ID_PATH.format(build_id_of(STRIPPED))
    assert server.asked().count(path) == 1
    advice = module_of(explain(client, target.pid), STRIPPED)["advice"]
    assert not any("debuginfod.urls" in one["text"] for one in advice)
    counters = client.request("/debug/pprof/?debug=1").text
    assert re.search(r"\bdebuginfod_missing\D+[1-9]", counters), counters


def test_nothing_is_asked_or_started_unless_servers_are_set(
        server, start_daemon, targets, monkeypatch):
    server.add_debug_file(TARGETS_DIR / "burn_pie")
    monkeypatch.setenv("DEBUGINFOD_URLS", server.url)
    client = start_daemon()
    target = targets.burn(path=STRIPPED)
    for _ in range(2):
        client.profile(target.pid, seconds=1, hz=199)
    attempts = attempts_of(client, target.pid, STRIPPED)
    assert not any("debuginfod" in text for text in attempts), attempts
    assert server.asked() == []
    assert "debuginfod" not in thread_names(client.daemon.pid)
