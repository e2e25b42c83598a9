"""Profilers of the whole host: pprofd and those it is compared with."""
import json
import os
import pathlib
import re
import shutil
import subprocess
import threading

import daemon_process
import pprof_client
from measuring import children_of, log
from waiting import wait_until

OTEL_SOURCE = pathlib.Path(__file__).parent / "otel"
OTEL_MODULE = "go.opentelemetry.io/ebpf-profiler"
GO_TOOLS = ("/usr/local/go/bin/go", "go")
PERF_MODES = {"perf -g": ["-g"],
              "perf dwarf": ["--call-graph", "dwarf"]}
# The OTel profiler wants tracefs; not every host has it mounted.
WITH_TRACEFS = ('[ -e /sys/kernel/tracing/events ] || '
                'mount -t tracefs nodev /sys/kernel/tracing; exec "$0" "$@"')


def cpu_ns_at_exit(process):
    """Waits for a process and returns the CPU time that it has used."""
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return int((usage.ru_utime + usage.ru_stime) * 1e9)


class Pprofd:
    """A daemon of its own, and one capture of the whole host."""

    name = "pprofd"

    def __init__(self, directory, prefix=()):
        self.directory = pathlib.Path(directory)
        self.prefix = prefix
        self.daemon = None
        self.client = None
        self.capture = None

    def start_daemon(self, config=""):
        self.daemon = daemon_process.DaemonProcess(
            self.directory, prefix=self.prefix, config=config)
        self.daemon.wait_until_listening()
        self.client = pprof_client.PprofClient(self.daemon.url)
        return self

    def start(self, hz, seconds):
        if self.daemon is None:
            self.start_daemon()
            self.wait_until_settled()
        self.capture = threading.Thread(
            target=self.client.get, args=("profile",),
            kwargs={"seconds": seconds, "hz": hz})
        self.capture.start()

    def stop(self):
        self.capture.join()
        self.stop_daemon()

    def stop_daemon(self):
        self.daemon.stop()
        self.daemon = None

    def counters(self):
        """pprofd's own counters by name."""
        text = self.client.get("", debug=1).text
        return {name: int(value) for name, value in
                re.findall(r"^(\w+) (\d+)  #", text, re.M)}

    def wait_until_settled(self):
        """Until the tables of what runs anyway have been made."""
        seen = [-1]

        def settled():
            loaded = self.counters()["unwind_tables_loaded"]
            seen.append(loaded)
            return loaded == seen[-2]
        wait_until(settled, "pprofd has read what runs", 30, pause=0.5)


class Perf:
    """perf record of the whole host; `keep` is where its recording goes."""

    def __init__(self, mode, directory, prefix=()):
        self.name = mode
        self.arguments = PERF_MODES[mode]
        self.file = pathlib.Path(directory) / f"{mode.replace(' ', '')}.data"
        self.prefix = prefix
        self.process = None

    def start(self, hz, seconds, pids=()):
        where = ["-p", ",".join(map(str, pids))] if pids else ["-a"]
        self.process = subprocess.Popen(
            [*self.prefix, "perf", "record", "-q", "-e", "cpu-clock", "-F",
             str(hz), *self.arguments, *where, "-o", str(self.file), "--",
             "sleep", str(seconds)],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL)
        wait_until(self._is_sampling, "perf samples", 30)

    def _is_sampling(self):
        """It enables its events when its child turns into "sleep"."""
        return any(pathlib.Path(f"/proc/{child}/comm").read_text() == "sleep\n"
                   for child in children_of(self.process.pid))

    def stop(self):
        """CPU time it has used, in ns."""
        return cpu_ns_at_exit(self.process)

    def script(self, *fields):
        """(what perf says about the recording, without inlined frames; CPU
        time used for that, in ns)."""
        text = self.file.with_suffix(".txt")
        with open(text, "wb") as output:
            process = subprocess.Popen(
                ["perf", "script", "-i", str(self.file), "--no-inline", "-F",
                 ",".join(fields)],
                stdout=output, stderr=subprocess.DEVNULL)
        cpu_ns = cpu_ns_at_exit(process)
        return text.read_text(errors="replace"), cpu_ns


class Otel:
    """OpenTelemetry's profiler, sending to a sink of our own."""

    name = "OTel profiler"

    def __init__(self, binaries, directory, prefix=()):
        self.profiler, self.sink_binary = binaries
        self.directory = pathlib.Path(directory)
        self.prefix = prefix
        self.processes = []

    @property
    def output_file(self):
        return self.directory / "otel.jsonl"

    def start(self, hz, seconds):
        """Samples until it is stopped, whatever `seconds` says."""
        log_file = self.directory / "sink.log"
        with open(log_file, "wb") as output:
            sink = subprocess.Popen(
                [*self.prefix, self.sink_binary, self.output_file],
                stdout=output, stderr=subprocess.STDOUT)
        self.processes = [sink]
        address = wait_until(
            lambda: re.search(r"listening on (\S+)", log_file.read_text()),
            "the sink listens").group(1)
        with open(self.directory / "otel.log", "wb") as output:
            self.processes.insert(0, subprocess.Popen(
                [*self.prefix, "unshare", "-m", "sh", "-c", WITH_TRACEFS,
                 self.profiler, "-collection-agent", address,
                 "-disable-tls", "-samples-per-second", str(hz),
                 "-reporter-interval", "1s", "-reporter-jitter", "0"],
                stdout=output, stderr=subprocess.STDOUT))
        wait_until(self._is_sampling, "the OTel profiler samples", 60)

    def _is_sampling(self):
        text = (self.directory / "otel.log").read_text(errors="replace")
        if self.processes[0].poll() is not None:
            raise RuntimeError("the OTel profiler ended: " + text[-500:])
        return (self.output_file.exists()
                and self.output_file.stat().st_size > 0)

    @property
    def pid(self):
        return self.processes[0].pid

    def stop(self):
        for process in self.processes:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def samples(self):
        """What the sink wrote: dicts of pid, count and frames."""
        with open(self.output_file, encoding="utf-8") as lines:
            for line in lines:
                yield json.loads(line)


def _go(directory, *arguments):
    """Output of the go command; raises RuntimeError."""
    go = next(filter(None, map(shutil.which, GO_TOOLS)), None)
    if go is None:
        raise RuntimeError("no Go toolchain")
    done = subprocess.run(
        [go, *arguments], cwd=directory, capture_output=True, text=True,
        env={**os.environ, "GOTOOLCHAIN": "local", "GOFLAGS": "-mod=mod"},
        timeout=1200, check=False)
    if done.returncode != 0:
        raise RuntimeError(done.stderr.strip().splitlines()[-1])
    return done.stdout


def build_otel(directory):
    """(profiler, sink), built with Go's module proxy; raises RuntimeError."""
    directory = pathlib.Path(directory)
    built = (directory / "ebpf-profiler", directory / "sink")
    if all(path.exists() for path in built):
        return built
    log("building the OTel profiler")
    shutil.copytree(OTEL_SOURCE, directory, dirs_exist_ok=True)
    _go(directory, "mod", "download", OTEL_MODULE)
    original = _go(directory, "list", "-m", "-f", "{{.Dir}}", OTEL_MODULE)
    copy = directory / "profiler"
    shutil.copytree(original.strip(), copy, dirs_exist_ok=True)
    for path in (copy, copy / "rlimit", copy / "rlimit" / "rlimit.go"):
        path.chmod(0o755)
    shutil.copy(OTEL_SOURCE / "overlay" / "rlimit.go", copy / "rlimit")
    _go(directory, "mod", "edit", f"-replace={OTEL_MODULE}={copy}")
    _go(directory, "build", "-o", built[1], ".")
    _go(directory, "build", "-o", built[0], OTEL_MODULE)
    return built


def check_otel(binaries, directory):
    """Raises if it does not run here."""
    otel = Otel(binaries, directory)
    try:
        otel.start(19, 1)
    finally:
        otel.stop()
