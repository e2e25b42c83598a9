"""What all measurements need: clocks, counters of BPF programs, statistics."""
import contextlib
import ctypes
import json
import os
import pathlib
import platform
import re
import statistics
import subprocess
import time

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
STATS_SWITCH = pathlib.Path("/proc/sys/kernel/bpf_stats_enabled")
FIRST = -20  # niceness of what is measured: others run after it


def log(text):
    print(f"[{time.strftime('%H:%M:%S')}] {text}", flush=True)


def median(values):
    return statistics.median(values) if values else float("nan")


def spread(values):
    """Half the distance of the quartiles, as a share of the median."""
    if len(values) < 4:
        return (max(values) - min(values)) / 2 / median(values)
    quarter, middle, three = statistics.quantiles(values, n=4)
    return (three - quarter) / 2 / middle


def line_through(points):
    """(offset, slope) by least squares."""
    slope, offset = statistics.linear_regression(*zip(*points))
    return offset, slope


def process_cpu_ns(pid):
    """CPU time of all threads of a process, ended ones too, in ns."""
    clock = ((~pid) << 3) | 2  # what clock_getcpuclockid() makes of a pid
    return time.clock_gettime_ns(ctypes.c_int32(clock).value)


@contextlib.contextmanager
def bpf_statistics():
    """The kernel counts runs and run time of BPF programs inside."""
    before = STATS_SWITCH.read_text(encoding="ascii")
    STATS_SWITCH.write_text("1", encoding="ascii")
    try:
        yield
    finally:
        STATS_SWITCH.write_text(before, encoding="ascii")


def _descriptors(pid):
    """The key: value pairs of /proc/PID/fdinfo, one dict for each file."""
    for entry in pathlib.Path(f"/proc/{pid}/fdinfo").iterdir():
        with contextlib.suppress(FileNotFoundError):
            yield dict(re.findall(r"^(\w+):\s*(.*)$", entry.read_text(), re.M))


def bpf_program_counts(pid, name):
    """(runs, run time in ns) of a program that a process holds."""
    for info in _descriptors(pid):
        if "run_cnt" not in info:
            continue
        shown = json.loads(subprocess.run(
            ["bpftool", "-j", "prog", "show", "id", info["prog_id"]],
            check=True, capture_output=True).stdout)
        if shown.get("name") == name:
            return int(info["run_cnt"]), int(info["run_time_ns"])
    raise LookupError(f"process {pid} has no BPF program {name}")


def bpf_map_bytes(pid):
    """Kernel memory of all BPF maps that a process holds, each once."""
    sizes = {info["map_id"]: int(info["memlock"])
             for info in _descriptors(pid) if "map_id" in info}
    return sum(sizes.values())


def memory_of(pid):
    """The Vm and Rss lines of /proc/PID/status in bytes."""
    text = pathlib.Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    return {name: int(kib) * 1024
            for name, kib in re.findall(r"^((?:Vm|Rss)\w+):\s*(\d+) kB$",
                                        text, re.M)}


def children_of(pid):
    """Pids of a process's children."""
    return [int(child)
            for task in pathlib.Path(f"/proc/{pid}/task").iterdir()
            for child in (task / "children").read_text("ascii").split()]


def mapped_table_bytes(pid):
    """BPF maps as far as they count in the memory of a process, too."""
    text = pathlib.Path(f"/proc/{pid}/smaps").read_text(errors="replace")
    return 1024 * sum(int(kib) for kib in re.findall(
        r"anon_inode:bpf-map\n(?:(?!\w+-\w+ ).*\n)*?Rss:\s+(\d+) kB", text))


def raise_priority():
    """For preexec_fn; needs root."""
    os.setpriority(os.PRIO_PROCESS, 0, FIRST)


def lower_priority():
    """For preexec_fn."""
    os.setpriority(os.PRIO_PROCESS, 0, 19)


def on_cpu(cpu):
    """preexec_fn of a program that shall run first, and on one CPU."""
    def prepare():
        raise_priority()
        os.sched_setaffinity(0, {cpu})
    return prepare


def _output(*command):
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True,
                          text=True, check=False)
    return done.stdout.strip()


def describe_machine():
    """{what: value} of what the figures depend on."""
    model = re.search(r"model name\s*: (.*)",
                      pathlib.Path("/proc/cpuinfo").read_text())
    changed = "; with local changes" if _output("git", "status",
                                                "--porcelain") else ""
    return {
        "machine": f"{model.group(1) if model else platform.machine()}, "
                   f"{os.cpu_count()} CPUs"
                   + (", virtual" if "hypervisor" in
                      pathlib.Path("/proc/cpuinfo").read_text() else ""),
        "kernel": platform.release(),
        "commit": _output("git", "rev-parse", "--short", "HEAD") + changed,
        "date": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
        "perf": _output("perf", "--version"),
    }


def load():
    """The mean number of tasks that wanted to run in the last minute."""
    return os.getloadavg()[0]
