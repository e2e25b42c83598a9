"""Programs whose debug information is forged: each costs its own names only."""
import json
import os
import random
import struct
import subprocess
import threading
import time
import urllib.request
import zlib

import pytest

from target_process import TARGETS_DIR

SHF_COMPRESSED = 0x800
ELFCOMPRESS_ZLIB = 1
MIB = 1 << 20
# Time a client waits beyond the seconds it asked for; `go tool pprof` gives up
# after 5.5.
PATIENCE_SECONDS = 5.5


def compressed(content_bytes, claimed_bytes):
    """A compressed section of zeros, and what it says of its size."""
    packer = zlib.compressobj(9)
    pieces = [packer.compress(bytes(MIB)) for _ in range(content_bytes // MIB)]
    header = struct.pack("<IIQQ", ELFCOMPRESS_ZLIB, 0, claimed_bytes, 1)
    return header + b"".join(pieces) + packer.flush()


def garbage(size):
    return random.Random(size).randbytes(size)


def endless_unit():
    """A unit whose tree of functions goes on to the end of the section."""
    abbreviations = (b"\x01\x11\x01\x00\x00"  # a compilation unit with children
                     b"\x02\x2e\x01\x00\x00"  # a function with children
                     b"\x00")
    dies = b"\x01" + b"\x02" * (8 * MIB)
    header = struct.pack("<IHBBI", len(dies) + 8, 5, 1, 8, 0)
    return {".debug_abbrev": abbreviations, ".debug_info": header + dies}


# Section names and contents; those in COMPRESSED are marked so.
FORGED = {
    "zip_bombs": lambda: {name: compressed(500 * MIB, 500 * MIB)
                          for name in (".debug_info", ".debug_str",
                                       ".debug_line")},
    "bomb_within_the_limit": lambda: {
        ".debug_info": compressed(200 * MIB, 200 * MIB),
        ".debug_abbrev": b"\0"},
    "claims_more_than_it_has": lambda: {
        ".debug_info": compressed(MIB, 1 << 60),
        ".debug_abbrev": compressed(MIB, 500 * MIB)},
    "garbage": lambda: {".debug_info": garbage(MIB),
                        ".debug_abbrev": garbage(MIB),
                        ".debug_line": garbage(MIB),
                        ".debug_str": garbage(1000),
                        ".debug_rnglists": garbage(MIB)},
    "endless_unit": endless_unit,
    "packed_garbage": lambda: {".gnu_debugdata": garbage(MIB)},
}
# What `why` says of it.
TOLD = {"zip_bombs": "too large", "bomb_within_the_limit": "beyond belief",
        "claims_more_than_it_has": "too large",
        "garbage": "0 compilation units",
        "endless_unit": "1 compilation units",
        "packed_garbage": "bad compressed stream"}
COMPRESSED = {"zip_bombs": (".debug_info", ".debug_str", ".debug_line"),
              "bomb_within_the_limit": (".debug_info",),
              "claims_more_than_it_has": (".debug_info", ".debug_abbrev")}


def mark_compressed(path, names):
    """Sets SHF_COMPRESSED, which objcopy has no word for."""
    data = bytearray(path.read_bytes())
    table, = struct.unpack_from("<Q", data, 40)
    entry, count, strings = struct.unpack_from("<HHH", data, 58)
    start, = struct.unpack_from("<Q", data, table + strings * entry + 24)
    for index in range(count):
        at = table + index * entry
        name_at = start + struct.unpack_from("<I", data, at)[0]
        name = data[name_at:data.index(b"\0", name_at)].decode()
        if name in names:
            flags, = struct.unpack_from("<Q", data, at + 8)
            struct.pack_into("<Q", data, at + 8, flags | SHF_COMPRESSED)
    path.write_bytes(data)


def forge(kind, directory):
    path = directory / f"burn_{kind}"
    sections = FORGED[kind]()
    # A static program stands alone wherever it is copied to.
    command = ["objcopy", "--strip-all"]
    for index, (name, content) in enumerate(sections.items()):
        file = directory / f"section{index}"
        file.write_bytes(content)
        command.append(f"--add-section={name}={file}")
    subprocess.run([*command, TARGETS_DIR / "burn_static", path], check=True,
                   capture_output=True)
    if kind in COMPRESSED:
        mark_compressed(path, COMPRESSED[kind])
    os.chmod(path, 0o755)
    return path


def functions_in(profile):
    return {line.name for sample in profile.samples for loc in sample.user
            for line in loc.lines}


@pytest.mark.parametrize("kind", FORGED)
def test_forged_debug_information_costs_its_own_names_only(
        daemon, client, targets, tmp_path, kind):
    path = forge(kind, tmp_path)
    hostile = targets.burn(path=path, mode="shares")
    honest = targets.burn("burn_pie")
    answers = {}

    def ask(pid):
        start = time.monotonic()
        answers[pid] = (client.profile(pid, seconds=2),
                        time.monotonic() - start)
    threads = [threading.Thread(target=ask, args=(target.pid,))
               for target in (hostile, honest)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    profile, seconds = answers[hostile.pid]
    assert profile.samples
    assert seconds < 2 + PATIENCE_SECONDS
    why = json.loads(urllib.request.urlopen(
        f"{daemon.url}/debug/pprof/why?pid={hostile.pid}&format=json").read())
    attempts = [attempt for module in why["modules"]
                if module["path"] == str(path)
                for attempt in module["symbols"]["attempts"]]
    assert any(TOLD[kind] in attempt for attempt in attempts), attempts
    again = client.profile(honest.pid, seconds=1)
    assert not [line for line in again.comments
                if line.startswith("names are missing")], again.comments
    assert any("burn::" in name for name in functions_in(again))
