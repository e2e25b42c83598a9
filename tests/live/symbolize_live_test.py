"""pprofd symbolize: the answers of addr2line, and a co-process's manners."""
import os
import re
import shutil
import subprocess

import pytest

from daemon_process import BINARY
from target_process import TARGETS_DIR

ADDR2LINE = shutil.which("addr2line")
VARIANTS = ("burn_pie", "burn_nonpie", "burn_dwarf4_compressed", "burn_static",
            "burn_c_debug_frame")
FRAME = re.compile(r"(?: \(inlined by\) )?(?P<name>.*) at "
                   r"(?P<file>.*?):(?P<line>\d+|\?)"
                   r"(?::(?P<column>\d+))?(?: \(discriminator \d+\))?")


def frame(line):
    """(name, file, line) of a line of either program."""
    found = FRAME.fullmatch(line)
    assert found, line
    # addr2line's demangler writes "> >" for ">>" and decltype() in words of
    # its own; a part split off a function is its own symbol to it.
    name = found["name"].replace("> >", ">>").replace("> >", ">>")
    name = "decltype" if name.startswith("decltype") else name
    name = name.removesuffix(".cold")
    number = 0 if found["line"] == "?" else int(found["line"])
    return name, os.path.normpath(found["file"]), number


def run(text, *arguments):
    return subprocess.run([BINARY, "symbolize", *arguments], input=text,
                          capture_output=True, text=True, timeout=60,
                          check=False)


def blocks(output):
    assert output.endswith("\n\n"), output[-200:]
    return [block.splitlines() for block in output[:-2].split("\n\n")]


def sample_addresses(path, count=120):
    """Addresses inside functions of the file's own code."""
    done = subprocess.run(["nm", "--defined-only", "-S", path], check=True,
                          capture_output=True, text=True)
    functions = [(int(f[0], 16), int(f[1], 16))
                 for f in map(str.split, done.stdout.splitlines())
                 if len(f) == 4 and f[2] in "tT" and int(f[1], 16) > 16]
    step = max(1, len(functions) // count)
    return sorted({start + size * part // 5 for start, size in
                   functions[::step] for part in (0, 2)})


def addr2line(path, addresses):
    """One block per address, as the other program prints them."""
    done = subprocess.run([ADDR2LINE, "-afiCp", "-e", path,
                           *map(hex, addresses)],
                          check=True, capture_output=True, text=True)
    answers = []
    for line in done.stdout.splitlines():
        first = re.match(r"0x[0-9a-f]{16}: (.*)", line)
        if first:
            answers.append([first.group(1)])
        else:
            answers[-1].append(line)
    return answers


@pytest.mark.skipif(ADDR2LINE is None, reason="no addr2line")
@pytest.mark.parametrize("variant", VARIANTS)
def test_answers_are_those_of_addr2line(variant):
    path = TARGETS_DIR / variant
    addresses = sample_addresses(path)
    done = run("".join(f"{path} {address:#x}\n" for address in addresses))
    assert (done.returncode, done.stderr) == (0, "")
    found = blocks(done.stdout)
    reference = addr2line(path, addresses)
    assert len(found) == len(reference) == len(addresses)
    with_lines = [(hex(address), mine, theirs) for address, mine, theirs
                  in zip(addresses, found, reference)
                  if not theirs[0].endswith("?") and "??" not in theirs[0]]
    differing = [answer for answer in with_lines
                 if [*map(frame, answer[1])] != [*map(frame, answer[2])]]
    print(f"{variant}: {len(with_lines)} compared, {len(differing)} differ")
    assert len(with_lines) >= 10
    assert not differing, differing[:4]


def test_a_build_id_is_looked_up_in_the_debug_roots(tmp_path):
    path = TARGETS_DIR / "burn_pie"
    build_id = subprocess.run(
        ["readelf", "-n", path], check=True, capture_output=True,
        text=True).stdout.split("Build ID: ")[1].split()[0]
    folder = tmp_path / ".build-id" / build_id[:2]
    folder.mkdir(parents=True)
    question = f"{build_id} {sample_addresses(path)[3]:x}\n"
    root = f"--symbols.debug_roots={tmp_path}"
    missing = run(question, root)
    assert missing.returncode == 1
    assert f"line 1: no file of build ID {build_id}" in missing.stderr
    (folder / f"{build_id[2:]}.debug").symlink_to(path)
    done = run(question, root)
    assert done.returncode == 0, done.stderr
    assert blocks(done.stdout)[0][0].split(" at ")[0] != "??"


def test_a_co_process_answers_line_by_line():
    path = TARGETS_DIR / "burn_pie"
    with subprocess.Popen([BINARY, "symbolize"], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          text=True, bufsize=1) as process:
        for _ in range(3):
            process.stdin.write(f"{path} 1\n")
            assert process.stdout.readline() == "?? at ??:0\n"
            assert process.stdout.readline() == "\n"
        process.stdin.write("/none/such 1\n")
        assert process.stdout.readline() == "\n"
        assert process.stderr.readline().startswith(
            "pprofd symbolize: line 4: /none/such: ")
        process.stdin.close()
        assert process.wait(10) == 1


def test_help_lists_the_command():
    done = subprocess.run([BINARY, "--help"], capture_output=True, text=True,
                          check=True, timeout=20)
    assert "symbolize" in done.stdout
