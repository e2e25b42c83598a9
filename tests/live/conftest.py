"""Fixtures of the live tests: one daemon per session, targets per test."""
import os
import pathlib
import subprocess

import pytest

import daemon_process
import pprof_client
import target_process

GO_TOOLS = ("/usr/lib/go-1.19/bin/go", "/usr/lib/go-1.23/bin/go")


def why_not_live():
    if os.geteuid() != 0:
        return "live tests need root"
    if not os.path.exists("/sys/kernel/btf/vmlinux"):
        return "live tests need a kernel with BTF"
    return ""


def pytest_collection_modifyitems(items):
    reason = why_not_live()
    if reason:
        for item in items:
            item.add_marker(pytest.mark.skip(reason=reason))


def pytest_report_header():
    return [f"pprofd: {daemon_process.BINARY}",
            f"targets: {target_process.TARGETS_DIR}"]


@pytest.fixture(scope="session", autouse=True)
def built():
    """Builds the targets; without a daemon there is nothing to test."""
    if not daemon_process.BINARY.exists():
        pytest.exit(f"{daemon_process.BINARY} does not exist: run make build",
                    returncode=1)
    done = subprocess.run(
        ["cmake", "--build", daemon_process.BUILD_DIR, "--target", "targets"],
        capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.exit("the targets do not build:\n" + done.stdout[-4000:],
                    returncode=1)


class DaemonKeeper:
    """Keeps a daemon running through the session; a dead one is replaced."""

    def __init__(self, directories):
        self.directories = directories
        self.daemon = None

    def running(self):
        if self.daemon is None or self.daemon.process.poll() is not None:
            self.daemon = daemon_process.DaemonProcess(
                self.directories.mktemp("pprofd"))
            self.daemon.wait_until_listening()
        return self.daemon


@pytest.fixture(scope="session")
def keeper(tmp_path_factory):
    kept = DaemonKeeper(tmp_path_factory)
    yield kept
    if kept.daemon is not None and kept.daemon.process.poll() is None:
        assert kept.daemon.stop() == 0, kept.daemon.output()[-4000:]


@pytest.fixture
def daemon(keeper):
    """The session's daemon; a test during which it dies fails."""
    running = keeper.running()
    yield running
    running.check_alive()


@pytest.fixture
def client(daemon):
    return pprof_client.PprofClient(daemon.url)


@pytest.fixture
def targets(tmp_path):
    started = target_process.Targets(tmp_path)
    yield started
    started.kill_all()


class GoPprof:
    """`go tool pprof` of one toolchain."""

    def __init__(self, go, home):
        self.go = go
        self.environment = {"PATH": "/usr/bin:/bin", "HOME": str(home),
                            "PPROF_TMPDIR": str(home), "GO111MODULE": "off",
                            "GOTOOLCHAIN": "local"}

    def run(self, *arguments):
        """The finished process; output as text."""
        return subprocess.run(
            [self.go, "tool", "pprof", *map(str, arguments)],
            env=self.environment, capture_output=True, text=True, timeout=90,
            check=False)

    def output(self, *arguments):
        done = self.run(*arguments)
        assert done.returncode == 0, f"{arguments}: {done.stderr}"
        return done.stdout


@pytest.fixture(params=GO_TOOLS, ids=lambda go: pathlib.Path(go).parts[3])
def go_pprof(request, tmp_path):
    if not os.path.exists(request.param):
        pytest.skip(f"{request.param} is not installed")
    return GoPprof(request.param, tmp_path)
