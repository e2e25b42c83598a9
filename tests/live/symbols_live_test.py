"""Functions, files, lines and inlined calls as llvm-symbolizer finds them."""
import json
import os
import re
import shutil
import subprocess

import pytest

import elf_names
from target_process import LIFETIME_SECONDS, TARGETS_DIR
from waiting import wait_until

BURN_NODE = TARGETS_DIR / "burn_node.js"
SYMBOLIZER = (shutil.which("llvm-symbolizer-19")
              or shutil.which("llvm-symbolizer"))
VARIANTS = ("burn_pie", "burn_o3", "burn_clang", "burn_dwarf4_compressed",
            "burn_static", "burn_rust")


# What compilers append to the names of parts of a function: debug information
# may or may not have it.
PART = re.compile(r"(\.cold|\.llvm\.\d+)$")


def reference_chains(path, addresses):
    """{address: [(linkage name, file, line)]}, innermost first."""
    done = subprocess.run(
        [SYMBOLIZER, f"--obj={path}", "--functions=linkage", "--no-demangle",
         "--output-style=JSON", *map(hex, addresses)],
        check=True, capture_output=True, text=True)
    return {int(entry["Address"], 16):
            [(PART.sub("", s["FunctionName"]), s["FileName"], s["Line"])
             for s in entry["Symbol"]]
            for entry in json.loads(done.stdout)}


def profile_chains(profile, path):
    """The same from a profile, for the locations of one file."""
    elf = elf_names.ElfFile(path)
    return {elf.address_of(loc.file_offset):
            [(PART.sub("", line.system_name), line.file, line.line)
             for line in loc.lines]
            for sample in profile.samples for loc in sample.user
            if loc.mapping_file == str(path)}


@pytest.mark.skipif(SYMBOLIZER is None, reason="no llvm-symbolizer")
@pytest.mark.parametrize("variant", VARIANTS)
def test_lines_and_inlined_calls_are_those_of_llvm(client, targets, variant):
    path = TARGETS_DIR / variant
    if not os.path.exists(path):
        pytest.skip(f"{variant} was not built")
    if variant == "burn_rust":
        target = targets.start(variant, f"--seconds={LIFETIME_SECONDS}")
    else:
        target = targets.burn(variant)
    profile = client.profile(target.pid, seconds=2, hz=999)
    found = profile_chains(profile, path)
    reference = reference_chains(path, sorted(found))
    with_lines = {address: chain for address, chain in reference.items()
                  if chain[-1][2] > 0}
    assert len(with_lines) >= 10
    differing = {hex(address): (found[address], chain)
                 for address, chain in with_lines.items()
                 if found[address] != chain}
    assert len(differing) <= 0.01 * len(with_lines), (
        len(differing), len(with_lines), list(differing.items())[:4])


def test_javascript_has_lines_by_a_jitdump(client, targets, tmp_path, go_pprof):
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not installed")
    target = targets.run([node, "--perf-prof",
                          "--interpreted-frames-native-stack", BURN_NODE,
                          "--seconds=60"], cwd=tmp_path)
    profile = client.profile(target.pid, seconds=3, hz=499)
    saved = tmp_path / "node.pb.gz"
    saved.write_bytes(profile.body)
    top = go_pprof.output("-top", "-lines", "-nodefraction=0", saved)
    source = BURN_NODE.read_text(encoding="ascii").splitlines()
    first = 1 + source.index("function leafA(rounds) {")
    lines = {int(line) for line in re.findall(
        rf"\bleafA {re.escape(str(BURN_NODE))}:(\d+)", top)}
    assert lines & set(range(first + 1, first + 5)), top
    assert lines <= set(range(first, first + 7)), lines
    leaf = [line for sample in profile.samples for loc in sample.user
            for line in loc.lines if line.name == "leafA"]
    assert {line.file for line in leaf} == {str(BURN_NODE)}
    assert all(re.match(r"JS:.?leafA ", line.system_name) for line in leaf)


def test_bpf_programs_have_names(client, targets):
    """Also those loaded after pprofd read the kernel's symbols."""
    client.profile(targets.burn("burn_pie").pid, seconds=1)
    target = targets.run(["/usr/bin/python3", TARGETS_DIR / "burn_bpf.py"])
    name = re.compile(r"bpf_prog_[0-9a-f]{16}_burn_bpf$")

    def named():
        profile = client.profile(target.pid, seconds=2, hz=499)
        return sum(sample.count for sample in profile.samples
                   if sample.locations and name.match(sample.locations[0].name)
                   ) > 0.5 * sum(sample.count for sample in profile.samples)
    wait_until(named, "most samples are in the BPF program", seconds=30)
