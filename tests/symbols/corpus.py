"""Builds the programs whose addresses are asked for, and lists the others.

One program in C++, C and assembly is built in every form of debug information
that compilers here can write; beside it stand programs in Rust and Go, and
libraries of the system. Each form is built once: again only when its sources or
its commands changed.
"""

import concurrent.futures
import dataclasses
import hashlib
import itertools
import json
import pathlib
import shutil
import subprocess

SOURCES = pathlib.Path(__file__).resolve().parent / "program"
CPP = sorted(SOURCES.glob("*.cc"))
GCC = ("gcc-12", "g++-12")
CLANG = ("clang-19", "clang++-19")
LIBRARIES = pathlib.Path("/usr/lib/x86_64-linux-gnu")


@dataclasses.dataclass
class Binary:
    """One file to be asked about."""
    name: str
    what: str
    path: pathlib.Path
    # The same code with debug information that llvm-symbolizer can read, for
    # what it cannot.
    reference: pathlib.Path | None = None


@dataclasses.dataclass
class Form:
    """A way to build a program: commands that leave `output` in a folder."""
    name: str
    what: str
    output: str
    commands: list
    needs: tuple = ()  # tools without which it is left out
    reference: str = ""  # see Binary
    is_derived: bool = False  # from a program that another form builds


def compile_program(compilers, flags, link_flags=()):
    """The commands; split units stay beside the objects they are of."""
    c, cpp = compilers
    commands = []
    objects = []
    for source in CPP:
        objects.append(f"{source.stem}.o")
        commands.append([cpp, "-std=c++20", "-w", "-pthread", *flags, "-c",
                         source, "-o", objects[-1]])
    objects += ["sums.o", "wait.o"]
    commands.append([c, "-w", *flags, "-c", SOURCES / "sums.c", "-o", "sums.o"])
    commands.append([c, "-c", SOURCES / "wait.S", "-o", "wait.o"])
    commands.append([cpp, "-pthread", *flags, *objects, *link_flags,
                     "-Wl,--build-id=sha1", "-o", "ledger"])
    return commands


def cpp_forms():
    def form(name, what, compilers, flags, link=(), more=(), needs=()):
        return Form(name, what, "ledger",
                    compile_program(compilers, flags.split(), link) +
                    [command.split() for command in more],
                    (*compilers, *needs))

    def derived(name, what, commands, tool, reference=""):
        commands = ["cp ../gcc-O2/ledger ledger", *commands]
        return Form(name, what, "ledger",
                    [command.split() for command in commands], (tool,),
                    reference, is_derived=True)

    return [
        form("gcc-O0", "g++ -O0, DWARF 5", GCC, "-O0 -g -gdwarf-5"),
        form("gcc-O2-dwarf4", "g++ -O2, DWARF 4", GCC, "-O2 -g -gdwarf-4"),
        form("gcc-O2", "g++ -O2, DWARF 5", GCC, "-O2 -g -gdwarf-5"),
        form("gcc-O3-lto", "g++ -O3 -flto, DWARF 5", GCC,
             "-O3 -flto=2 -g -gdwarf-5"),
        derived("gcc-dwz", "the same after dwz", ["dwz ledger"], "dwz"),
        derived("gcc-dwz-m", "the same after dwz -m: with an alternate file",
                ["cp ledger other", "cp ledger plain",
                 "dwz -m common.debug ledger other"], "dwz",
                reference="plain"),
        derived("gcc-gz", "the same, compressed",
                ["objcopy --compress-debug-sections=zlib ledger"], "objcopy"),
        form("gcc-split", "g++ -O2 -gsplit-dwarf, DWARF 5, .dwo files", GCC,
             "-O2 -g -gdwarf-5 -gsplit-dwarf"),
        form("gcc-split-dwp", "g++ -O2 -gsplit-dwarf, DWARF 4, .dwp file", GCC,
             "-O2 -g -gdwarf-4 -gsplit-dwarf",
             more=("dwp -e ledger", "find . -name *.dwo -delete"),
             needs=("dwp",)),
        form("clang-O0", "clang++ -O0, DWARF 5", CLANG, "-O0 -g -gdwarf-5"),
        form("clang-O2-dwarf4", "clang++ -O2, DWARF 4", CLANG,
             "-O2 -g -gdwarf-4"),
        form("clang-O2", "clang++ -O2, DWARF 5", CLANG, "-O2 -g -gdwarf-5"),
        form("clang-O3-lto", "clang++ -O3 -flto, lld, DWARF 5", CLANG,
             "-O3 -flto -g -gdwarf-5", ("-fuse-ld=lld",), needs=("ld.lld-19",)),
        form("clang-split-dwp",
             "clang++ -O2 -gsplit-dwarf, DWARF 5, .dwp file", CLANG,
             "-O2 -g -gdwarf-5 -gsplit-dwarf",
             more=("llvm-dwp-19 -e ledger -o ledger.dwp",
                   "find . -name *.dwo -delete"), needs=("llvm-dwp-19",)),
    ]


def other_forms(rustc, go):
    rust = [rustc, "--edition=2021", "-g", "-O", SOURCES / "words.rs", "-o",
            "words"]
    return [
        Form("rust", "rustc -O -g", "words", [rust], (rustc,)),
        Form("rust-v0", "rustc -O -g, v0 names", "words",
             [[*rust, "-C", "symbol-mangling-version=v0"]], (rustc,)),
        Form("go", "go build", "words",
             [[go, "build", "-o", "words", SOURCES / "words.go"]], (go,)),
    ]


def system_binaries():
    found = [
        Binary("libstdc++-debug", "Debian's libstdc++ -O0 -g "
               "(libstdc++6-12-dbg)", LIBRARIES / "debug/libstdc++.so.6"),
        Binary("libstdc++", "Debian's libstdc++, .dynsym only",
               LIBRARIES / "libstdc++.so.6"),
        Binary("libc", "Debian's libc with its debug file (libc6-dbg)",
               LIBRARIES / "libc.so.6"),
    ]
    return [dataclasses.replace(binary, path=binary.path.resolve())
            for binary in found if binary.path.exists()]


def made_of(form):
    """The form's commands and what they read, as a text."""
    hashes = [hashlib.sha256(path.read_bytes()).hexdigest()
              for path in sorted(SOURCES.iterdir())]
    return json.dumps([[str(word) for word in command]
                       for command in form.commands] + [hashes])


def build_form(form, folder):
    """The Binary, or a sentence that says why there is none."""
    for tool in form.needs:
        if shutil.which(tool) is None:
            return f"{form.name}: no {tool}"
    directory = folder / form.name
    record = directory / "commands.json"
    text = made_of(form)
    output = directory / form.output
    if not (record.exists() and record.read_text() == text):
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir(parents=True)
        for command in form.commands:
            done = subprocess.run(command, cwd=directory, text=True,
                                  capture_output=True)
            if done.returncode != 0:
                return (f"{form.name}: {command[0]} failed: "
                        f"{done.stderr.strip()[-500:]}")
        record.write_text(text)
    reference = directory / form.reference if form.reference else None
    return Binary(form.name, form.what, output, reference)


def build(folder, jobs, rustc, go, own_binary):
    """(all Binaries there are, sentences about those that are missing)."""
    folder.mkdir(parents=True, exist_ok=True)
    forms = cpp_forms() + other_forms(rustc, go)
    forms.sort(key=lambda form: form.is_derived)
    results = []
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        for _, same_turn in itertools.groupby(forms, lambda f: f.is_derived):
            results += pool.map(lambda form: build_form(form, folder),
                                same_turn)
    binaries = [result for result in results if isinstance(result, Binary)]
    binaries += system_binaries()
    size = own_binary.stat().st_size / 1e6
    binaries.append(Binary("pprofd", f"pprofd itself, {size:.0f} MB, g++ -O2, "
                           "DWARF 5", own_binary))
    return binaries, [r for r in results if isinstance(r, str)]
