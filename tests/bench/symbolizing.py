"""CPU and memory that names of addresses take, beside other symbolizers'."""
import contextlib
import pathlib
import random
import re
import shutil
import subprocess
import time

import peers
import programs
import target_process
from measuring import log, median, memory_of

ADDRESSES = 20_000
LINE = 1_000  # addresses on a line of "pprofd symbolize"
SEED = 1
MIB = 1 << 20
LIBRARY = "pprofd, library"
COMMAND = "pprofd symbolize"
LLVM = "llvm-symbolizer-14"
ADDR2LINE = "addr2line"
C_LIBRARY = pathlib.Path("/usr/lib/x86_64-linux-gnu/libc.so.6")
BIG = "C++, -g"
TARGET_BULK = 2.0
TARGET_WARM = 1e6
TARGET_FIRST_S = 0.15
TARGET_MEMORY = 0.5


def code_addresses(path, count):
    """Random addresses in .text."""
    sections = subprocess.run(["readelf", "-WS", path], check=True,
                              capture_output=True, text=True).stdout
    start, size = (int(text, 16) for text in re.search(
        r" \.text +PROGBITS +(\w+) \w+ (\w+)", sections).groups())
    numbers = random.Random(SEED)
    return [start + numbers.randrange(size) for _ in range(count)]


class Peak:
    """The most that a process was seen to have, read every 2 ms."""

    def __init__(self):
        self.anonymous = 0
        self.all = 0

    def watch(self, process):
        while process.poll() is None:
            with contextlib.suppress(FileNotFoundError, ProcessLookupError,
                                     KeyError):
                memory = memory_of(process.pid)
                self.anonymous = max(self.anonymous, memory["RssAnon"])
                self.all = max(self.all, memory["VmHWM"])
            time.sleep(0.002)


class Symbolizing:
    """`cpu` maps (tool, file, what) to [ns]; `peaks` (tool, file) to [Peak];
    `warm` file to [addresses a second]."""

    def __init__(self, binaries, directory, pprofd):
        self.bench = binaries / "bench_symbolize"
        self.directory = directory
        self.pprofd = pprofd
        self.symbols_only = directory / "without_debug_info"
        self.files = self._find_files()
        # The files are gone when the page is written.
        self.sizes = {name: path.stat().st_size / MIB
                      for name, path in self.files.items()}
        self.cpu = {}
        self.peaks = {}
        self.warm = {}

    def _find_files(self):
        subprocess.run(["objcopy", "--strip-debug", self.pprofd,
                        self.symbols_only], check=True)
        files = {BIG: self.pprofd,
                 "the same, symbols only": self.symbols_only}
        if programs.built("burn_c_debug_frame"):
            files["C, -g"] = target_process.TARGETS_DIR / "burn_c_debug_frame"
        if C_LIBRARY.exists():
            files["libc.so.6"] = C_LIBRARY
        return files

    def _tools(self, path):
        """{tool: command}; a tool reads addresses from stdin."""
        tools = {LIBRARY: [self.bench, path, "bulk"],
                 COMMAND: [self.pprofd, "symbolize"],
                 LLVM: [LLVM, f"--obj={path}", "--inlines"],
                 ADDR2LINE: [ADDR2LINE, "-C", "-f", "-i", "-e", path]}
        return {tool: command for tool, command in tools.items()
                if shutil.which(command[0])}

    def _write_input(self, tool, path, addresses):
        """A file with what the tool wants on stdin."""
        place = self.directory / "addresses"
        if tool == COMMAND:
            lines = [" ".join([f'"{path}"', *map(hex, addresses[i:i + LINE])])
                     for i in range(0, len(addresses), LINE)]
        else:
            lines = map(hex, addresses)
        place.write_text("\n".join(lines) + "\n", encoding="ascii")
        return place

    @staticmethod
    def _start(command, place, stdout=subprocess.DEVNULL):
        with place.open("rb") as stdin:
            return subprocess.Popen(command, stdin=stdin, stdout=stdout,
                                    stderr=subprocess.DEVNULL)

    def measure(self, rounds):
        for number in range(rounds):
            for name, path in self.files.items():
                self._measure_file(name, path)
            log(f"symbolizers: round {number + 1} of {rounds}")

    def _measure_file(self, name, path):
        addresses = code_addresses(path, ADDRESSES)
        for tool, command in self._tools(path).items():
            for what, asked in (("first", addresses[:1]), ("bulk", addresses)):
                place = self._write_input(tool, path, asked)
                cpu_ns = peers.cpu_ns_at_exit(self._start(command, place))
                self.cpu.setdefault((tool, name, what), []).append(cpu_ns)
            # Watching would cost the process time.
            peak = Peak()
            peak.watch(self._start(command, place))
            self.peaks.setdefault((tool, name), []).append(peak)
        place = self._write_input(LIBRARY, path, addresses)
        warm = self._start([self.bench, path, "warm"], place, subprocess.PIPE)
        count, _, cpu_ns = map(int, warm.communicate()[0].split())
        self.warm.setdefault(name, []).append(count / cpu_ns * 1e9)

    def _cpu(self, tool, name, what):
        return median(self.cpu.get((tool, name, what), []))

    def _peak(self, tool, name, kind):
        return median([getattr(peak, kind)
                       for peak in self.peaks.get((tool, name), [])])

    def report(self, page):
        page.heading("Symbolizer")
        sizes = ", ".join(f"{name}: {size:.1f} MiB"
                          for name, size in self.sizes.items())
        page.text(
            f"User and system time of a whole process, its start included, for "
            f"{ADDRESSES:,} random addresses of the code of a file with inlined "
            "calls, files and lines (bulk), and for one (first); medians. "
            f"Files: {sizes}; libc's debug information is the separate file of "
            "Debian's package, if that is installed. The library answers in "
            "its process, with short names as profiles have them; the others "
            "write text and whole names. \"Warm\" is how many "
            "addresses a second the library names again. Of the memory, all is "
            "VmHWM: it counts pages of mapped files, which the kernel may take "
            "back at any time, too; anonymous is the most RssAnon that was "
            "seen in readings every 2 ms.")
        rows = []
        for (tool, name) in self.peaks:
            bulk = self._cpu(tool, name, "bulk")
            row = [name, tool, f"{bulk / 1e6:,.0f}",
                   f"{ADDRESSES / bulk * 1e9:,.0f}",
                   f"{self._cpu(tool, name, 'first') / 1e6:,.1f}",
                   f"{self._cpu(LLVM, name, 'bulk') / bulk:.2f}",
                   f"{median(self.warm[name]):,.0f}" if tool == LIBRARY else "",
                   f"{self._peak(tool, name, 'all') / MIB:.1f}",
                   f"{self._peak(tool, name, 'anonymous') / MIB:.1f}"]
            rows.append(row)
        page.table(["file", "tool", "bulk, ms", "addresses a second",
                    "first, ms", "times llvm-symbolizer's speed",
                    "warm, addresses a second", "peak, MiB: all",
                    "anonymous"], rows)
        self._judge(page)

    def _judge(self, page):
        for name, path in self.files.items():
            if path == self.symbols_only:
                continue
            for tool in (LIBRARY, COMMAND):
                page.verdict(
                    f"times the speed of llvm-symbolizer 14, {tool}, {name}",
                    self._cpu(LLVM, name, "bulk")
                    / self._cpu(tool, name, "bulk"),
                    TARGET_BULK, "{:.2f}", at_least=True)
        page.verdict(f"known addresses a second, {BIG}",
                     median(self.warm[BIG]), TARGET_WARM, "{:,.0f}",
                     at_least=True)
        page.verdict(f"s CPU for the first address, {BIG}",
                     self._cpu(LIBRARY, BIG, "first") / 1e9,
                     TARGET_FIRST_S, "{:.3f}")
        for name in (BIG, "libc.so.6"):
            if name in self.files:
                page.verdict(
                    f"ratio to the peak memory of llvm-symbolizer 14, {name}",
                    self._peak(LIBRARY, name, "all")
                    / self._peak(LLVM, name, "all"),
                    TARGET_MEMORY, "{:.2f}")
