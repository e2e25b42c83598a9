"""Starting: with too few rights, with just enough, on a taken port."""
import os
import pathlib
import shutil
import socket
import tempfile

import pytest

import daemon_process
import pprof_client
import stack_truth
from waiting import wait_until

CAPABILITIES = ("bpf", "perfmon", "sys_ptrace", "dac_read_search",
                "checkpoint_restore")


@pytest.fixture
def open_directory():
    """A directory that any user may enter, with a copy of the daemon."""
    directory = pathlib.Path(tempfile.mkdtemp(prefix="pprofd-live-"))
    directory.chmod(0o755)
    for name in ("pprofd", "pprofd-symbolizer"):
        shutil.copy(daemon_process.BINARY.with_name(name), directory / name)
    yield directory
    shutil.rmtree(directory)


@pytest.fixture
def start(open_directory, monkeypatch):
    """Starts daemons of that directory; ends them in the end."""
    monkeypatch.setattr(daemon_process, "BINARY", open_directory / "pprofd")
    started = []

    def start_daemon(**options):
        process = daemon_process.DaemonProcess(open_directory, **options)
        started.append(process)
        return process
    yield start_daemon
    for process in started:
        process.kill()


def as_nobody(capabilities):
    """A command prefix: user nobody, with these capabilities only."""
    granted = ",".join(f"+{name}" for name in capabilities)
    return ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups",
            *([f"--inh-caps={granted}", f"--ambient-caps={granted}"]
              if capabilities else ["--inh-caps=-all", "--ambient-caps=-all"])]


def check_refusal(process, *words):
    """It ends by itself with status 1 and says why, briefly."""
    assert process.wait_for_exit() == 1
    said = process.output().strip()
    assert said and len(said.splitlines()) <= 3, said
    for word in words:
        assert word.lower() in said.lower(), said


def test_without_rights_it_says_so(start):
    check_refusal(start(prefix=as_nobody(())), "cap")


def test_an_old_kernel_is_named(start):
    check_refusal(start(prefix=["setarch", "--uname-2.6"]), "5.10", "kernel")


def test_a_kernel_without_type_information_is_named(start):
    without_btf = 'mount -t tmpfs none /sys/kernel/btf && exec "$@"'
    check_refusal(
        start(prefix=["unshare", "--mount", "sh", "-c", without_btf, "sh"]),
        "/sys/kernel/btf/vmlinux")


def test_a_taken_port_is_named(start):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        check_refusal(start(arguments=[f"--http.listen=127.0.0.1:{port}"]),
                      str(port))


def test_a_malformed_configuration_is_named(start):
    check_refusal(start(config="http: [unclosed\n"), "pprofd.yaml")


def test_an_unknown_setting_is_named(start):
    check_refusal(start(config="no_such_setting: 1\n"), "no_such_setting")


def test_five_capabilities_are_enough(start, targets):
    process = start(prefix=as_nobody(CAPABILITIES)).wait_until_listening()
    with open(f"/proc/{process.pid}/status", encoding="utf-8") as file:
        assert "\nUid:\t65534\t65534\t65534\t65534\n" in file.read()
    target = targets.burn("burn_pie", mode="shares")
    profile = pprof_client.PprofClient(process.url).profile(
        target.pid, seconds=2, hz=999)
    verdict = stack_truth.StackTruth(target.stop()).judge(profile)
    assert verdict.samples > 200, verdict
    assert verdict.complete_share >= 0.99, verdict
    assert verdict.exact_share >= 0.98, verdict
    assert process.stop() == 0


def test_it_stops_soon_while_a_client_waits(start, targets):
    process = start().wait_until_listening()
    client = pprof_client.PprofClient(process.url)
    target = targets.burn("burn_pie", mode="a")
    waiting = client.in_background(client.get, "profile", pid=target.pid,
                                   seconds=60)
    assert client.get("cmdline", pid=target.pid).status == 200
    assert process.stop() == 0
    # The client gets an answer or a closed connection, never silence.
    waiting.exception(timeout=15)
    assert os.path.exists(f"/proc/{target.pid}")


SECOND_CPU = pathlib.Path("/sys/devices/system/cpu/cpu1/online")


@pytest.fixture
def second_cpu():
    """Switches CPU 1 off and on; on in the end."""
    if not os.access(SECOND_CPU, os.W_OK):
        pytest.skip("CPU 1 cannot be taken offline here")
    yield SECOND_CPU
    SECOND_CPU.write_text("1")


def test_a_cpu_that_comes_online_is_sampled(start, targets, second_cpu):
    second_cpu.write_text("0")
    process = start().wait_until_listening()
    client = pprof_client.PprofClient(process.url)
    second_cpu.write_text("1")
    target = targets.burn("burn_pie", mode="a")
    os.sched_setaffinity(target.pid, {1})
    wait_until(lambda: client.profile(target.pid, **{"from": "-1m"}).count > 0,
               "samples of the process on the new CPU")


def test_a_cpu_that_left_and_came_back_is_sampled(start, targets, second_cpu):
    process = start().wait_until_listening()
    client = pprof_client.PprofClient(process.url)
    second_cpu.write_text("0")
    second_cpu.write_text("1")
    target = targets.burn("burn_pie", mode="a")
    os.sched_setaffinity(target.pid, {1})
    wait_until(lambda: client.profile(target.pid, **{"from": "-1m"}).count > 0,
               "samples of the process on the CPU that came back", 30)
