"""Programs that allocate, and tell how much work they have done so far."""
import contextlib
import os
import pathlib
import re
import shutil
import signal
import socket
import struct
import subprocess
import threading
import time

import target_process
from measuring import process_cpu_ns
from pprof_client import free_port
from waiting import TimedOut, wait_until

LIBRARIES = pathlib.Path("/usr/lib/x86_64-linux-gnu")
LIBC = LIBRARIES / "libc.so.6"
JEMALLOC = LIBRARIES / "libjemalloc.so.2"
CC1PLUS = pathlib.Path("/usr/lib/gcc/x86_64-linux-gnu/12/cc1plus")
NICENESS = -10  # behind the profilers, before everything else
QUERY = ("with recursive c(x) as (select 1 union all select x+1 from c where "
         "x<20000) select count(*),sum(length(hex(randomblob(20)))) from c;\n")
# Of a function: what it makes the compiler instantiate.
SOURCE_HEAD = """#include <bits/stdc++.h>
template<int> struct Tag {
  int v;
  bool operator<(const Tag& o) const { return v < o.v; }
};
"""
SOURCE_FUNCTION = """void use_N() {
  std::map<std::string, Tag<N>> m; m["a"] = {}; m.erase("a");
  std::vector<Tag<N>> v(3); std::sort(v.begin(), v.end()); v.push_back({});
  std::unordered_map<int, Tag<N>> u; u[1] = {};
  std::function<Tag<N>()> f = [] { return Tag<N>(); }; f();
  std::shared_ptr<Tag<N>> p = std::make_shared<Tag<N>>();
}
"""


def _on_cpu(cpu):
    def prepare():
        os.setpriority(os.PRIO_PROCESS, 0, NICENESS)
        os.sched_setaffinity(0, {cpu})
    return prepare


class Program:
    """Runs from its making until stop(); `process` is what is measured."""

    allocator = LIBC  # the file whose functions it calls
    process = None

    def _start(self, command, cpu, environment=(), **options):
        options = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL,
                   "stderr": subprocess.DEVNULL, **options}
        return subprocess.Popen(
            command, env={**os.environ, **dict(environment)},
            preexec_fn=_on_cpu(cpu), **options)

    @property
    def pid(self):
        return self.process.pid

    def units(self):
        """How much it has done, now."""
        raise NotImplementedError

    def point(self):
        """(units, CPU time in ns) of one moment."""
        units = self.units()
        return units, process_cpu_ns(self.pid)

    def stop(self):
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()
        self.process.wait()


class Pairs(Program):
    name = "malloc(64), free"
    unit = "pair"

    def __init__(self, directory, cpus, environment=()):
        path = pathlib.Path(directory) / "pairs"
        path.write_bytes(bytes(8))
        self.file = open(path, "rb", buffering=0)
        self.process = self._start(
            [target_process.TARGETS_DIR / "heap_pairs", path], cpus[0],
            environment)

    def units(self):
        return struct.unpack("<Q", os.pread(self.file.fileno(), 8, 0))[0]

    def stop(self):
        super().stop()
        self.file.close()

    @staticmethod
    def missing():
        return ""


class Sqlite(Program):
    """A query again and again; its answers are lines on a terminal, as it
    would not write each at once elsewhere."""

    name = "sqlite3"
    unit = "query"

    def __init__(self, directory, cpus, environment=()):
        script = pathlib.Path(directory) / "queries"
        if not script.exists():
            script.write_text(QUERY * 100000, encoding="ascii")
        self.lines = 0
        self.fresh = threading.Condition()
        self.terminal, other = os.openpty()
        with open(script, "rb") as queries:
            self.process = self._start(["sqlite3", ":memory:"], cpus[-1],
                                       environment, stdin=queries,
                                       stdout=other)
        os.close(other)
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self):
        with contextlib.suppress(OSError):  # its end
            while text := os.read(self.terminal, 4096):
                with self.fresh:
                    self.lines += text.count(b"\n")
                    self.fresh.notify_all()

    def units(self):
        """Waits until a query ends."""
        with self.fresh:
            lines = self.lines
            if not self.fresh.wait_for(lambda: self.lines != lines, 60):
                raise TimedOut("sqlite3 answers no more")
            return self.lines

    def stop(self):
        super().stop()
        self.reader.join()
        os.close(self.terminal)

    @staticmethod
    def missing():
        return "" if shutil.which("sqlite3") else "no sqlite3 here"


class Redis(Program):
    name = "redis-server, P=16"
    unit = "request"
    allocator = JEMALLOC

    def __init__(self, directory, cpus, environment=()):
        port = free_port()
        self.process = self._start(
            ["redis-server", "--port", str(port), "--bind", "127.0.0.1",
             "--save", "", "--appendonly", "no"], cpus[0], environment,
            cwd=directory)
        self.connection = wait_until(lambda: self._connect(port),
                                     "redis-server listens", 20)
        self.load = self._start(
            ["redis-benchmark", "-h", "127.0.0.1", "-p", str(port), "-P",
             "16", "-t", "set,get", "-n", "100000", "-l", "-q"], cpus[-1])

    @staticmethod
    def _connect(port):
        try:
            return socket.create_connection(("127.0.0.1", port), 60)
        except ConnectionRefusedError:
            return None

    def units(self):
        self.connection.sendall(b"INFO stats\r\n")
        text = b""
        while not (found := re.search(rb"total_commands_processed:(\d+)\r",
                                      text)) or b"\r\n\r\n" not in text[-64:]:
            text += self.connection.recv(65536)
            if found and text.endswith(b"\r\n"):
                break
        return int(found.group(1))

    def stop(self):
        self.load.kill()
        self.load.wait()
        self.connection.close()
        super().stop()

    @staticmethod
    def missing():
        return ("" if shutil.which("redis-server")
                and shutil.which("redis-benchmark") else "no redis here")


class Compile(Program):
    """cc1plus, which ends. Two that compile the same are at the same place of
    their work when they have mapped as much memory: it never gives any back,
    as its garbage collector is off."""

    name = "cc1plus"
    INTERVAL_SECONDS = 0.004

    def __init__(self, directory, cpu, functions, environment=()):
        source = pathlib.Path(directory) / f"functions{functions}.cc"
        if not source.exists():
            source.write_text(SOURCE_HEAD + "".join(
                SOURCE_FUNCTION.replace("N", str(number))
                for number in range(functions)), encoding="ascii")
        self.recorder = None
        self.points = []  # (pages mapped, CPU time in ns)
        self.process = self._start(
            [CC1PLUS, "-quiet", "-std=c++20", "-imultiarch",
             "x86_64-linux-gnu", "-D_GNU_SOURCE", "-O0", "-fsyntax-only",
             "--param", "ggc-min-heapsize=16000000", source], cpu, environment)

    def follow(self):
        """Notes from now on how far it is."""
        self.recorder = threading.Thread(target=self._record, daemon=True)
        self.recorder.start()
        return self

    def _record(self):
        most = 0
        statm = pathlib.Path(f"/proc/{self.pid}/statm")
        with contextlib.suppress(OSError, IndexError):  # its end
            while not os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG |
                                os.WNOWAIT):
                pages = int(statm.read_text().split()[0])
                if pages > most:
                    most = pages
                    self.points.append((pages, process_cpu_ns(self.pid)))
                time.sleep(self.INTERVAL_SECONDS)

    def place(self):
        return self.points[-1][0] if self.points else 0

    def cpu_until(self, place):
        """CPU time it had used there, in ns."""
        return next(cpu for pages, cpu in self.points if pages >= place)

    def cpu_ns_at_end(self):
        _, status, usage = os.wait4(self.pid, 0)
        self.process.returncode = os.waitstatus_to_exitcode(status)
        if self.process.returncode != 0:
            raise RuntimeError(f"cc1plus: {self.process.returncode}")
        return (usage.ru_utime + usage.ru_stime) * 1e9

    def stop(self):
        if self.process.returncode is None:
            super().stop()
        if self.recorder:
            self.recorder.join()

    @staticmethod
    def missing():
        return "" if CC1PLUS.exists() else "no g++-12 here"


class Sleeper:
    """A process that uses libc and does nothing."""

    def __init__(self):
        self.process = subprocess.Popen(["sleep", "300"])

    def track(self, pprofd):
        """A future; it is tracked at once and answered after a while."""
        return pprofd.client.in_background(pprofd.client.get, "heap",
                                           pid=self.process.pid)

    def stop(self):
        self.process.kill()
        self.process.wait()


class Memleak:
    """The one of bcc's libbpf-tools, or Debian's; both watch every call."""

    NAMES = ("memleak", "memleak-bpfcc")

    def __init__(self, program, directory):
        self.log = pathlib.Path(directory) / f"memleak.{program.pid}"
        # It takes no path of more than 31 characters.
        allocator = pathlib.Path(directory) / program.allocator.name[:6]
        if not allocator.exists():
            allocator.symlink_to(program.allocator)
        command = next(filter(None, map(shutil.which, self.NAMES)))
        with open(self.log, "wb") as output:
            self.process = subprocess.Popen(
                ["nice", "-n", "-15", command, "-p", str(program.pid), "-O",
                 allocator, "600"],
                stdout=output, stderr=subprocess.STDOUT)

    def wait_until_attached(self):
        """Raises RuntimeError if it cannot."""
        links = [0]

        def attached():
            if self.process.poll() is not None:
                raise RuntimeError(self.log.read_text(
                    errors="replace").strip().splitlines()[-2])
            links.append(self._count_links())
            return links[-1] and links[-1] == links[-2]
        wait_until(attached, "memleak attaches", 30, pause=0.7)

    def _count_links(self):
        count = 0
        for entry in pathlib.Path(f"/proc/{self.process.pid}/fd").iterdir():
            with contextlib.suppress(OSError):
                count += "bpf_link" in os.readlink(entry)
        return count

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    @classmethod
    def missing(cls):
        """Why it cannot be used."""
        if not any(map(shutil.which, cls.NAMES)):
            return "not installed"
        return ""
