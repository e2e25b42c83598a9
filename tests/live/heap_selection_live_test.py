"""heap.track: processes that are tracked before anybody asks."""
import contextlib
import os
import pathlib
import re
import secrets
import time

import pytest

import daemon_process
from heap_live_test import comment_with, heap
from heap_truth import HeapTarget
from pprof_client import PprofClient
from target_process import TARGETS_DIR
from waiting import wait_until

ENV = os.path.relpath("/usr/bin/env", TARGETS_DIR)
# Where systemd has its groups: of a hierarchy of their own, or of the only one.
CGROUPS = next(path for path in (pathlib.Path("/sys/fs/cgroup/systemd"),
                                 pathlib.Path("/sys/fs/cgroup"))
               if path.is_dir())


@contextlib.contextmanager
def daemon_that_tracks(directory, rule):
    daemon = daemon_process.DaemonProcess(
        directory, config=f"heap:\n  track: ['{rule}']\n")
    try:
        daemon.wait_until_listening()
        yield PprofClient(daemon.url)
        daemon.check_alive()
    finally:
        assert daemon.stop() == 0, daemon.output()[-4000:]


@contextlib.contextmanager
def control_group(name):
    """A new group; a function that a child calls to go there."""
    folder = CGROUPS / name
    try:
        folder.mkdir()
    except OSError as error:
        pytest.skip(f"no control group can be made here: {error}")
    try:
        yield lambda: (folder / "cgroup.procs").write_text(str(os.getpid()))
    finally:
        wait_until(lambda: not (folder / "cgroup.procs").read_text(),
                   "the group is empty", 20)
        folder.rmdir()


def check_tracked_for(client, target, seconds):
    """That it has been tracked so long when it is first asked for."""
    start = time.monotonic()
    wait_until(lambda: time.monotonic() > start + seconds + 2,
               "some time has passed", seconds + 10)
    profile = heap(client, target.pid)
    text = comment_with(profile, "tracking began")
    assert float(re.search(r"began ([\d.]+) s", text).group(1)) >= seconds
    target.act()
    assert sum(sample.value[2] for sample in
               heap(client, target.pid).message.sample) > 50


def test_an_executable_is_tracked_from_its_start(tmp_path):
    program = TARGETS_DIR / "heap_sites"
    with daemon_that_tracks(tmp_path, f"exe:{program}") as client:
        with HeapTarget("heap_sites", ["hold", 50_000, 4096],
                        tmp_path) as target:
            check_tracked_for(client, target, 3)


def test_what_ran_before_the_daemon_is_tracked_too(tmp_path):
    program = TARGETS_DIR / "heap_sites"
    with HeapTarget("heap_sites", ["hold", 50_000, 4096], tmp_path) as target:
        with daemon_that_tracks(tmp_path, f"exe:{program}") as client:
            check_tracked_for(client, target, 3)


def test_a_program_that_another_becomes_is_tracked(tmp_path):
    program = TARGETS_DIR / "heap_sites"
    with daemon_that_tracks(tmp_path, f"exe:{program}") as client:
        # env has been looked at, and left alone, when it runs the program.
        with HeapTarget(ENV, ["--", program, "hold", 50_000, 4096],
                        tmp_path) as target:
            check_tracked_for(client, target, 3)


@pytest.mark.parametrize("kind", ["unit", "container"])
def test_a_unit_and_a_container_are_known_by_their_control_groups(
        tmp_path, kind):
    number = secrets.token_hex(32)
    name, rule = {
        "unit": (f"pprofd-test-{number[:8]}.service",
                 f"unit:pprofd-test-{number[:8]}.service"),
        "container": (f"docker-{number}.scope", f"container:{number[:12]}"),
    }[kind]
    with control_group(name) as enter:
        with daemon_that_tracks(tmp_path, rule) as client:
            with HeapTarget("heap_sites", ["hold", 50_000, 4096], tmp_path,
                            preexec_fn=enter) as target:
                check_tracked_for(client, target, 3)


def test_a_rule_that_is_none_is_refused(tmp_path):
    daemon = daemon_process.DaemonProcess(
        tmp_path, config="heap:\n  track: [nginx]\n")
    assert daemon.wait_for_exit() == 1
    assert "heap.track" in daemon.output()
    assert "unit:NAME.service" in daemon.output()
