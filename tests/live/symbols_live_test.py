"""Functions, files, lines and inlined calls as llvm-symbolizer finds them."""
import json
import os
import re
import shutil
import subprocess

import pytest

import elf_names
from target_process import LIFETIME_SECONDS, TARGETS_DIR

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
