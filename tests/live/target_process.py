"""Programs to be profiled: started, awaited, asked for their truth."""
import bisect
import json
import os
import pathlib
import signal
import subprocess
import threading
import time

from daemon_process import BUILD_DIR
from waiting import wait_until

TARGETS_DIR = BUILD_DIR / "tests" / "targets"
LIFETIME_SECONDS = 120


class TargetProcess:
    """A running target; `pid` is that of the process that says "ready PID"."""

    def __init__(self, command, directory, **popen_options):
        self.command = [str(part) for part in command]
        name = pathlib.Path(self.command[0]).name
        self.output_file = pathlib.Path(directory) / f"{name}.{id(self)}.out"
        popen_options.setdefault("cwd", directory)
        with open(self.output_file, "wb") as output:
            self.process = subprocess.Popen(
                self.command, stdin=subprocess.DEVNULL, stdout=output,
                stderr=subprocess.STDOUT, **popen_options)
        self.pid = self.process.pid

    def output(self):
        return self.output_file.read_text(errors="replace")

    def wait_until_ready(self, seconds=20):
        def ready():
            lines = self.output().splitlines()
            status = self.process.poll()
            assert status is None or lines, (
                f"{self.command} ended with {status}: {self.output()}")
            return [line for line in lines if line.startswith("ready ")]
        said = int(wait_until(ready, f"{self.command} is ready",
                              seconds)[0].split()[1])
        if said != self.process.pid:
            # A child of the command, perhaps in a namespace of its own.
            self.pid = int(pathlib.Path(
                f"/proc/{self.process.pid}/task/{self.process.pid}/children"
            ).read_text(encoding="ascii").split()[0])
        return self

    def stop(self):
        """SIGTERM; returns its truth, or None when it prints none."""
        if self.process.poll() is None:
            os.kill(self.pid, signal.SIGTERM)
        assert self.process.wait(20) == 0, self.output()
        return self.truth()

    def truth(self):
        """What it has printed as its last line, decoded."""
        last = self.output().splitlines()[-1]
        return json.loads(last) if last.startswith("{") else None

    def kill(self):
        if self.process.poll() is None:
            try:
                os.kill(self.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            self.process.kill()
            self.process.wait()

    def cpu_ns(self):
        """CPU time of all its live threads, as the scheduler counts it."""
        total = 0
        for thread in pathlib.Path(f"/proc/{self.pid}/task").iterdir():
            try:
                total += int((thread / "schedstat").read_text().split()[0])
            except (FileNotFoundError, ProcessLookupError):
                pass
        return total


class CpuRecorder:
    """Reads a target's CPU time all the while, to know it between any times."""

    INTERVAL_SECONDS = 0.01

    def __init__(self, target):
        self.points = [(time.time_ns(), target.cpu_ns())]
        self.target = target
        self.stopping = threading.Event()
        self.thread = threading.Thread(target=self._record, daemon=True)

    def _record(self):
        while not self.stopping.wait(self.INTERVAL_SECONDS):
            self.points.append((time.time_ns(), self.target.cpu_ns()))

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stopping.set()
        self.thread.join()

    def until(self, wall_ns):
        """CPU used until then, interpolated."""
        index = bisect.bisect(self.points, (wall_ns, 0))
        if index == 0:
            return self.points[0][1]
        if index == len(self.points):
            return self.points[-1][1]
        (start, used), (end, then) = self.points[index - 1:index + 1]
        return used + (then - used) * (wall_ns - start) / (end - start)

    def between(self, start_ns, end_ns):
        return self.until(end_ns) - self.until(start_ns)


class Targets:
    """Starts targets and kills, in the end, those still running."""

    def __init__(self, directory):
        self.directory = pathlib.Path(directory)
        self.running = []

    def run(self, command, ready=True, **popen_options):
        """Any command; it must print "ready PID" if `ready`."""
        target = TargetProcess(command, self.directory, **popen_options)
        self.running.append(target)
        return target.wait_until_ready() if ready else target

    def start(self, name, *arguments, **popen_options):
        """A program of tests/targets by name."""
        return self.run([TARGETS_DIR / name, *arguments], **popen_options)

    def burn(self, name="burn_pie", mode="all", path=None, **popen_options):
        """A variant of burn; `path` is another file to run it from."""
        return self.run([path or TARGETS_DIR / name, f"--mode={mode}",
                         f"--seconds={LIFETIME_SECONDS}",
                         f"--plugin={TARGETS_DIR / 'hop_plugin.so'}"],
                        **popen_options)

    def kill_all(self):
        for target in self.running:
            target.kill()
        self.running.clear()
