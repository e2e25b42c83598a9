"""Memory of the daemon and of its BPF maps on a host with many processes."""
import shutil

import peers
import programs
from measuring import (bpf_map_bytes, children_of, log, lower_priority,
                       mapped_table_bytes, memory_of)

PROCESSES = 100
PROFILES = 4
SECONDS = 4
HZ = 499
TARGET_MIB = 100
MIB = 1 << 20
BURN = ("burn_pie", "burn_o3", "burn_static", "burn_static_pie", "burn_fp",
        "burn_clang", "burn_dwarf4_compressed", "burn_rust", "burn_go",
        "burn_c_musl")
IDLE = (["sleep", "300"],
        ["/usr/bin/python3", "-c", "import json, ssl, time; time.sleep(300)"],
        ["perl", "-e", "sleep 300"],
        ["bash", "-c", "read -t 300 < <(sleep 300)"],
        ["node", "-e", "setTimeout(() => {}, 300000)"])


class Memory:
    """`after` has a reading for each profile."""

    def __init__(self, directory, targets):
        self.directory = directory
        self.targets = targets
        self.after = []
        self.processes = 0
        self.kinds = 0

    def measure(self):
        commands = [programs.command(name) for name in BURN
                    if programs.built(name)]
        commands += [command for command in IDLE if shutil.which(command[0])]
        self.kinds = len(commands)
        # As many of each kind, all with the last priority.
        for number in range(PROCESSES):
            self.targets.run(commands[number % len(commands)], ready=False,
                             preexec_fn=lower_priority)
        self.processes = PROCESSES
        pprofd = peers.Pprofd(self.directory).start_daemon()
        try:
            pprofd.wait_until_settled()
            self._read(pprofd)
            for _ in range(PROFILES):
                pprofd.client.profile(seconds=SECONDS, hz=HZ)
                self._read(pprofd)
        finally:
            pprofd.stop_daemon()
            self.targets.kill_all()

    def _read(self, pprofd):
        pid = pprofd.daemon.pid
        reading = memory_of(pid)
        reading["maps"] = bpf_map_bytes(pid)
        reading["tables"] = mapped_table_bytes(pid)
        reading["symbols"] = pprofd.counters()["symbol_cache_bytes"]
        symbolizers = [memory_of(child) for child in children_of(pid)]
        for key in ("VmHWM", "RssAnon"):
            reading[f"symbolizers {key}"] = sum(
                symbolizer[key] for symbolizer in symbolizers)
        self.after.append(reading)
        log(f"memory: VmHWM {reading['VmHWM'] >> 20} MiB, of symbolizers "
            f"{reading['symbolizers VmHWM'] >> 20} MiB, maps "
            f"{reading['maps'] >> 20} MiB")

    def report(self, page):
        page.heading("Memory")
        page.text(
            f"With {self.processes} processes of {self.kinds} kinds "
            f"(C, C++, Rust, Go, Python, Perl, node, shells; most of them "
            f"busy), after {PROFILES} profiles of the whole host, in MiB. "
            "Peak is VmHWM. BPF maps are the kernel's memory for all maps; "
            "the unwind tables among them count in the daemon's memory, too, "
            "because it has mapped them, and are taken from the sum. Of the "
            "symbolizers' processes the peaks are added up, pages that they "
            "share and mapped files included.")
        rows = []
        for number, reading in enumerate(self.after):
            when = f"profile {number}" if number else "start"
            rows.append([when] + [
                f"{reading[key] / MIB:.1f}" for key in
                ("VmHWM", "VmRSS", "RssAnon", "RssFile", "tables", "maps",
                 "symbolizers VmHWM", "symbolizers RssAnon", "symbols")])
        page.table(["after", "peak", "now", "anonymous", "of files",
                    "mapped tables", "BPF maps", "symbolizers: peak",
                    "anonymous", "names kept"], rows)
        last = self.after[-1]
        page.verdict(
            f"MiB, peaks and BPF maps, {self.processes} processes",
            (last["VmHWM"] + last["symbolizers VmHWM"] + last["maps"] -
             last["tables"]) / MIB,
            TARGET_MIB, "{:.0f}")
