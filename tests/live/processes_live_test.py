"""Processes of every sort: short-lived, deleted, in memory, in containers."""
import mmap
import os
import pathlib
import re
import shutil
import subprocess
import time

import pytest

import daemon_process
import pprof_client
import stack_truth
from target_process import LIFETIME_SECONDS, TARGETS_DIR
from waiting import TimedOut, wait_until

HZ = 999


def check_burn(profile, truth):
    verdict = stack_truth.StackTruth(truth).judge(profile)
    assert verdict.samples > 200, verdict
    assert verdict.complete_share >= 0.99, verdict
    assert verdict.exact_share >= 0.98, verdict


def check_short_lived(client, targets, child, how):
    """A new child every 20 ms: each has its CPU time, and its names."""
    # A file no one has run before: its unwind table is not known yet.
    shutil.copy(TARGETS_DIR / "short_child", child)
    spawner = targets.start("spawner", how, child, "20", "60")
    profile = client.profile(seconds=4, hz=HZ)
    children = {truth["pid"]: truth for truth in spawner.stop()["children"]
                if profile.start_ns <= truth["start_ns"]
                and truth["end_ns"] <= profile.end_ns}
    assert len(children) >= 10
    of_children = profile.where(lambda s: s.labels["pid"] in children)
    good = [sample for sample in of_children
            if "short_burn" in sample.names and "main" in sample.names
            and sample.labels["comm"] == "short_child"
            and str(child) in {loc.mapping_file for loc in sample.user
                               if loc.name == "short_burn"}]
    sampled = sum(sample.ns for sample in good)
    burnt = sum(truth["burn_ns"] for truth in children.values())
    lost = [(s.count, s.labels["comm"], stack_truth.compress(s.names))
            for s in of_children if s not in good]
    assert 0.95 <= sampled / burnt <= 1.05, (sampled, burnt, lost[:8])
    seen = {pid: 0 for pid in children}
    for sample in good:
        seen[sample.labels["pid"]] += sample.ns
    unseen = {pid: (seen[pid], truth["burn_ns"],
                    [(s.count, s.labels["comm"], s.names[-3:])
                     for s in of_children if s.labels["pid"] == pid])
              for pid, truth in children.items()
              if seen[pid] < truth["burn_ns"] / 2}
    assert not unseen


@pytest.mark.parametrize("how", ("fork", "vfork", "posix_spawn"))
def test_short_lived_processes_keep_their_cpu_and_names(client, targets,
                                                        tmp_path, how):
    check_short_lived(client, targets, tmp_path / "short_child", how)


def map_large_programs():
    """What this machine has of them, executable: each is some 100 ms of work
    for whoever reads its call frame information."""
    folders = ("/usr/lib/x86_64-linux-gnu", "/usr/lib/llvm-14/lib",
               "/usr/lib/chromium", "/usr/lib/gcc/x86_64-linux-gnu/12")
    mapped = {}
    for folder in map(pathlib.Path, folders):
        for path in folder.iterdir() if folder.is_dir() else ():
            path = path.resolve()
            if path.is_file() and path.stat().st_size > 20 << 20:
                with open(path, "rb") as file:
                    mapped[path] = mmap.mmap(
                        file.fileno(), 0, flags=mmap.MAP_PRIVATE,
                        prot=mmap.PROT_READ | mmap.PROT_EXEC)
    return mapped


def test_large_files_that_nobody_runs_delay_no_one_at_the_start(targets,
                                                                tmp_path):
    mapped = map_large_programs()
    assert sum(map(len, mapped.values())) > 300 << 20, list(mapped)
    daemon = daemon_process.DaemonProcess(tmp_path)
    try:
        daemon.wait_until_listening()
        check_short_lived(pprof_client.PprofClient(daemon.url), targets,
                          tmp_path / "short_child", "fork")
        assert daemon.stop() == 0, daemon.output()[-4000:]
    finally:
        daemon.kill()
        for mapping in mapped.values():
            mapping.close()


def test_a_deleted_executable_keeps_its_names(client, targets, tmp_path):
    path = tmp_path / "burn_deleted"
    shutil.copy(TARGETS_DIR / "burn_static", path)
    target = targets.burn(path=path, mode="shares")
    path.unlink()
    profile = client.profile(target.pid, seconds=2, hz=HZ)
    main = profile.message.mapping[0]
    assert profile.strings[main.filename] == str(path)
    check_burn(profile, target.stop())


def test_a_replaced_executable_is_not_taken_for_the_running_one(
        client, targets, tmp_path):
    path = tmp_path / "burn_replaced"
    shutil.copy(TARGETS_DIR / "burn_static", path)
    target = targets.burn(path=path, mode="shares")
    replacement = tmp_path / "replacement"
    shutil.copy("/usr/bin/sleep", replacement)
    replacement.rename(path)
    profile = client.profile(target.pid, seconds=2, hz=HZ)
    check_burn(profile, target.stop())


def test_an_executable_in_memory_keeps_its_names(client, targets):
    target = targets.start("memfd_exec", TARGETS_DIR / "burn_static",
                           "--mode=shares", f"--seconds={LIFETIME_SECONDS}")
    profile = client.profile(target.pid, seconds=2, hz=HZ)
    main = profile.message.mapping[0]
    assert "memfd:burn_memfd" in profile.strings[main.filename]
    check_burn(profile, target.stop())


def make_root(directory, program):
    """A root directory with a dynamically linked program and its libraries."""
    listing = subprocess.run(["ldd", program], check=True,
                             capture_output=True, text=True).stdout
    for library in re.findall(r"(/\S+)", listing):
        copy = directory / library.lstrip("/")
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(library, copy)
    (directory / "app").mkdir()
    (directory / "proc").mkdir()
    shutil.copy(program, directory / "app" / "burn")
    for extra in ("libhop.so", "hop_plugin.so"):
        shutil.copy(TARGETS_DIR / extra, directory / "app" / extra)


def test_a_program_in_an_overlay_and_a_root_of_its_own(client, targets,
                                                       tmp_path):
    parts = {name: tmp_path / name
             for name in ("lower", "upper", "work", "merged")}
    for part in parts.values():
        part.mkdir()
    make_root(parts["lower"], TARGETS_DIR / "burn_pie")
    script = ("mount -t overlay overlay -o "
              'lowerdir="$1",upperdir="$2",workdir="$3" "$4" && '
              'mount -t proc proc "$4/proc" && '
              f'exec chroot "$4" /app/burn --seconds={LIFETIME_SECONDS} '
              "--plugin=/app/hop_plugin.so")
    target = targets.run(["unshare", "--mount", "sh", "-c", script, "sh",
                          *parts.values()])
    profile = client.profile(target.pid, seconds=3, hz=HZ)
    main = profile.message.mapping[0]
    assert profile.strings[main.filename].endswith("/app/burn")
    truth = target.stop()
    assert "plugin" in {s["name"] for s in truth["scenarios"]}
    check_burn(profile, truth)


def test_a_program_in_a_pid_namespace(client, targets):
    target = targets.run(
        ["unshare", "--pid", "--fork", "--mount-proc",
         TARGETS_DIR / "burn_static", "--mode=shares",
         f"--seconds={LIFETIME_SECONDS}"])
    assert "ready 1\n" in target.output() and target.pid != 1
    profile = client.profile(target.pid, seconds=2, hz=HZ)
    check_burn(profile, target.stop())


def test_kernel_threads_have_a_name_and_no_crash(client):
    reply = client.get("cmdline", pid=2)
    assert (reply.status, reply.text) == (200, "[kthreadd]")
    reply = client.get("profile", pid=2, seconds=1)
    assert reply.status in (200, 500)
    if reply.status == 500:
        assert reply.text.startswith("Could not enable profile profiling: ")


def start_with_pid(targets, pid, name, mode):
    """A target that gets exactly this pid, or None."""
    pathlib.Path("/proc/sys/kernel/ns_last_pid").write_text(str(pid - 1),
                                                            encoding="ascii")
    target = targets.burn(name, mode=mode)
    if target.pid == pid:
        return target
    target.kill()
    return None


def test_a_reused_pid_is_another_process(client, targets):
    if not os.path.exists("/proc/sys/kernel/ns_last_pid"):
        pytest.skip("the kernel does not let pids be chosen")
    first = targets.burn("burn_pie", mode="a")
    assert client.profile(first.pid, seconds=1, hz=HZ).count > 0
    first.kill()
    try:
        second = wait_until(
            lambda: start_with_pid(targets, first.pid, "burn_static", "b"),
            "the pid is used again")
    except TimedOut:
        pytest.skip("the pid could not be had again")
    profile = client.profile(second.pid, seconds=1, hz=HZ)
    main = profile.message.mapping[0]
    assert profile.strings[main.filename].endswith("/burn_static")
    assert profile.count > 100
    assert all("path_a" not in sample.names for sample in profile.samples)
    check = stack_truth.StackTruth(second.stop()).judge(profile)
    assert check.exact_share >= 0.98, check


def test_a_process_that_execs_changes_its_name_and_file(client, targets):
    target = targets.run(["/bin/sh", "-c",
                          f"read _ < /dev/null; exec {TARGETS_DIR}/burn_pie "
                          f"--mode=shares --seconds={LIFETIME_SECONDS}"])
    profile = client.profile(target.pid, seconds=2, hz=HZ)
    main = profile.message.mapping[0]
    assert profile.strings[main.filename] == str(TARGETS_DIR / "burn_pie")
    check_burn(profile, target.stop())


def test_a_library_that_comes_during_the_capture_is_unwound(client, targets,
                                                            tmp_path):
    program = tmp_path / "burn_late"
    plugin = tmp_path / "hop_plugin.so"
    shutil.copy(TARGETS_DIR / "burn_pie", program)
    shutil.copy(TARGETS_DIR / "libhop.so", tmp_path / "libhop.so")
    shutil.copy(TARGETS_DIR / "hop_plugin.so", plugin)
    capture = client.in_background(client.profile, seconds=4, hz=HZ)
    time.sleep(0.5)  # the capture of the host runs when the program starts
    target = targets.run([program, "--mode=plugin", f"--plugin={plugin}",
                          f"--seconds={LIFETIME_SECONDS}"])
    profile = capture.result()
    profile.samples = profile.where(
        lambda sample: sample.labels["pid"] == target.pid)
    verdict = stack_truth.StackTruth(target.stop()).judge(profile)
    assert verdict.samples > 500, verdict
    assert verdict.complete_share >= 0.95, verdict
