"""Stacks of programs that know their own, as each profiler sees them."""
import concurrent.futures
import dataclasses
import re
import time

import elf_names
import peers
import programs
import stack_truth
import target_process
from measuring import log

HZ = 199
SECONDS = 6
AT_ONCE = 4
PROGRAM_NAMES = (
    "burn_pie", "burn_nonpie", "burn_static", "burn_static_pie", "burn_o3",
    "burn_nodebug", "burn_fp", "burn_debuglink", "burn_clang",
    "burn_dwarf4_compressed", "burn_c_debug_frame", "burn_c_musl",
    "burn_c_musl_static", "burn_rust", "burn_go")
KERNEL_START = 1 << 63
PERF_FRAME = re.compile(r"^\s+([0-9a-f]+) (.*) \((.*)\)$")
CLONE = re.compile(r" \(\.[\w.]+\)$|\.(?:isra|part|constprop|cold)[.\d]*$")


@dataclasses.dataclass(frozen=True)
class Frame:
    """Named by the profiler or, where it sends addresses only, by the file."""
    name: str
    mapping_file: str = ""
    file_offset: int = 0


@dataclasses.dataclass(frozen=True)
class Sample:
    user: tuple
    count: int = 1

    @property
    def names(self):
        return tuple(frame.name for frame in self.user)


class Samples:
    def __init__(self, samples):
        self.samples = [sample for sample in samples if sample.user]


def plain(name):
    """A function's name without arguments and compilers' suffixes."""
    return CLONE.sub("", re.sub(r"(?<!\.)\(.*", "", name) or name)


def perf_samples(perf):
    """{pid: Samples} of a recording."""
    by_pid = {}
    text, _ = perf.script("comm", "pid", "ip", "sym", "dso")
    for block in text.split("\n\n"):
        head, *lines = block.strip("\n").split("\n")
        found = re.search(r"(\d+)\s*$", head)
        if not found:
            continue
        frames = []
        for line in lines:
            match = PERF_FRAME.match(line)
            if match and int(match.group(1), 16) < KERNEL_START:
                name = match.group(2)
                frames.append(Frame("" if name == "[unknown]"
                                    else plain(name)))
        by_pid.setdefault(int(found.group(1)), []).append(
            Sample(tuple(frames)))
    return {pid: Samples(samples) for pid, samples in by_pid.items()}


def name_thread_entry(frames):
    """glibc's clone3 is in no symbol table: the last of its frames is meant,
    where a thread's first function and start_thread are before."""
    if len(frames) > 2 and not frames[-1].name and all(
            frame.mapping_file == "libc.so.6" for frame in frames[-2:]):
        frames[-1] = Frame("clone3", frames[-1].mapping_file)


def otel_samples(otel, pids):
    """{pid: Samples}; it leaves names to the receiver of the addresses."""
    paths = {path.name: path for path in
             target_process.TARGETS_DIR.iterdir()}
    for name in list(paths):
        paths[name] = paths.get(f"{name}.debug", paths[name])
    by_pid = {}
    for line in otel.samples():
        if line["pid"] not in pids:
            continue
        frames = []
        for file, address, name, kind in line["frames"]:
            if kind == "kernel":
                continue
            elf = (elf_names.open_elf(str(paths[file]))
                   if file in paths else None)
            if not name and elf:
                name = plain(elf.function_at(address))
                if not name and 0 <= address - elf.entry < 64:
                    name = "_start"
            frames.append(Frame(name, file))
        name_thread_entry(frames)
        by_pid.setdefault(line["pid"], []).append(
            Sample(tuple(frames), line["count"]))
    return {pid: Samples(samples) for pid, samples in by_pid.items()}


class Completeness:
    """`verdicts` maps (program, tool) to stack_truth's verdict."""

    def __init__(self, directory, targets, otel):
        self.directory = directory
        self.targets = targets
        self.otel = otel
        self.verdicts = {}
        self.names = []

    @property
    def tools(self):
        return ["pprofd", *peers.PERF_MODES,
                *(["OTel profiler"] if self.otel else [])]

    def measure(self):
        self.names = list(filter(programs.built, PROGRAM_NAMES))
        pprofd = peers.Pprofd(self.directory).start_daemon()
        try:
            pprofd.wait_until_settled()
            for first in range(0, len(self.names), AT_ONCE):
                names = self.names[first:first + AT_ONCE]
                self._measure_some(pprofd, names)
                log(f"completeness: {', '.join(names)}")
        finally:
            pprofd.stop_daemon()

    def _measure_some(self, pprofd, names):
        running = {name: programs.start(self.targets, name) for name in names}
        pids = [target.pid for target in running.values()]
        otel = peers.Otel(self.otel, self.directory) if self.otel else None
        perfs = [peers.Perf(mode, self.directory) for mode in peers.PERF_MODES]
        if otel:
            otel.start(HZ, SECONDS)
        for perf in perfs:
            perf.start(HZ, SECONDS, pids)
        profiles = pprofd.client.profiles(pids, seconds=SECONDS, hz=HZ)
        for perf in perfs:
            perf.stop()
        if otel:
            time.sleep(2)  # it reports once a second
            otel.stop()
        truths = {name: stack_truth.StackTruth(target.stop())
                  for name, target in running.items()}
        found = {"pprofd": dict(zip(pids, profiles))}
        with concurrent.futures.ThreadPoolExecutor() as pool:
            for perf, samples in zip(perfs, pool.map(perf_samples, perfs)):
                found[perf.name] = samples
        if otel:
            found[otel.name] = otel_samples(otel, set(pids))
        for name, target in running.items():
            for tool in self.tools:
                samples = found[tool].get(target.pid)
                if samples:
                    self.verdicts[name, tool] = truths[name].judge(samples)

    def report(self, page):
        page.heading("Stacks: complete and exact")
        page.text(
            f"All profilers at once, {HZ} Hz, {SECONDS} s each. Complete: the "
            "stack ends at the program's or thread's entry. Exact: its frames "
            "of the program are, in order and number, those that the program "
            "itself says it has. In %, in brackets the samples. perf and "
            "pprofd name the frames themselves; the OTel profiler sends "
            "addresses, which nm(1) names here. perf -g is what frame "
            "pointers give.")
        rows = []
        for name in self.names:
            row = [name]
            for tool in self.tools:
                verdict = self.verdicts.get((name, tool))
                row.append(
                    f"{verdict.complete_share * 100:.1f} / "
                    f"{verdict.exact_share * 100:.1f} ({verdict.samples:,})"
                    if verdict else "no samples")
            rows.append(row)
        page.table(["program", *self.tools], rows)
        mine = [self.verdicts[name, "pprofd"] for name in self.names]
        samples = sum(verdict.samples for verdict in mine)
        page.verdict("% of pprofd's stacks complete, all programs", 100 *
                     sum(verdict.complete for verdict in mine) / samples,
                     99.5, "{:.2f}", at_least=True)
        page.verdict("% of pprofd's stacks exact, all programs", 100 *
                     sum(verdict.exact for verdict in mine)
                     / max(sum(v.with_own_frames for v in mine), 1),
                     99.5, "{:.2f}", at_least=True)
