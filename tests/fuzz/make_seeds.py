#!/usr/bin/env python3
"""Makes inputs for the fuzz targets to start from: make_seeds.py FOLDER

Each target gets FOLDER/TARGET with small files: programs of a few KB as gcc,
clang and rustc make them, what objcopy, dwz and the packers make of those, and
hand-made tables. `make fuzz` starts from the corpora in the tree, which came
from here and from findings, minimized with -merge=1.
"""

import lzma
import pathlib
import struct
import subprocess
import sys
import tempfile
import zlib

CXX = """
namespace outer { namespace {
template <typename T> struct Box { T value; T Get(T by) const; };
template <typename T> T Box<T>::Get(T by) const { return value * by; }
}
static inline __attribute__((always_inline)) int Twice(int a) {
  struct Local { int Add(int b) { return b + 1; } } local;
  return local.Add(a) * 2;
}
__attribute__((noinline)) int Work(int a) {
  auto closure = [a](int b) { return Twice(a) + Twice(b); };
  Box<int> box{a};
  return closure(a) + box.Get(3);
}
}
enum Color { kRed, kBlue };
extern "C" void _start() {
  volatile int x = kBlue;
  for (int i = 0; i < 3; ++i) { int y = outer::Work(x); x = y + i; }
  for (;;) {}
}
"""

RUST = """
#![no_std]
#![no_main]
use core::panic::PanicInfo;
#[panic_handler]
fn panic(_: &PanicInfo) -> ! { loop {} }
mod inner { pub struct S<T>(pub T); impl<T: Copy> S<T> {
  #[inline(never)] pub fn get(&self) -> T { self.0 } } }
#[no_mangle]
pub extern "C" fn _start() -> ! { let s = inner::S(7u32);
  let mut x = s.get(); loop { x = x.wrapping_add(1); unsafe {
  core::ptr::write_volatile(&mut x, x) } } }
"""

LINK = ["-nostdlib", "-static", "-Wl,-N", "-Wl,--build-id=sha1", "-no-pie"]
PLAIN = ["-fno-exceptions", "-ffreestanding", "-fno-stack-protector",
         "-fno-asynchronous-unwind-tables", "-fcf-protection=none"]


def run(*command, **options):
    subprocess.run([str(part) for part in command], check=True, timeout=60,
                   stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, **options)


class Seeds:
    def __init__(self, folder):
        self.folder = folder

    def add(self, target, name, content):
        path = self.folder / target / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)

    def add_two(self, target, name, first, second):
        self.add(target, name, struct.pack("<I", len(first)) + first + second)


def compile_cxx(work, name, compiler, *options):
    source = work / "code.cc"
    source.write_text(CXX)
    run(compiler, *PLAIN, *options, *LINK, source.name, "-o", name, cwd=work)
    run("objcopy", "--remove-section=.comment", work / name)
    return (work / name).read_bytes()


def dwarf(seeds, work):
    variants = {
        "gcc2": ["g++", "-O1", "-gdwarf-2", "-gstrict-dwarf"],
        "gcc4": ["g++", "-O2", "-gdwarf-4"],
        "gcc5": ["g++", "-O1", "-gdwarf-5"],
        "gcc5_64bit": ["g++", "-O0", "-gdwarf-5", "-gdwarf64"],
        "gcc5_types": ["g++", "-O1", "-gdwarf-5", "-fdebug-types-section"],
        "clang4": ["clang++-19", "-O2", "-gdwarf-4"],
        "clang5": ["clang++-19", "-O2", "-gdwarf-5", "-ffunction-sections"],
        "clang5_O0": ["clang++-19", "-O0", "-gdwarf-5"],
    }
    for name, (compiler, *options) in variants.items():
        program = compile_cxx(work, name, compiler, *options)
        seeds.add("dwarf", name, program)
    for kind in ("zlib", "zlib-gnu", "zstd"):
        run("objcopy", f"--compress-debug-sections={kind}", work / "gcc5",
            work / kind)
        seeds.add("dwarf", kind, (work / kind).read_bytes())
    (work / "code.rs").write_text(RUST)
    run("rustc", "--edition=2021", "-g", "-O", "-Cpanic=abort",
        "-Csymbol-mangling-version=v0", "-Crelocation-model=static",
        "-Clink-arg=-nostdlib", "-Clink-arg=-static", "-Clink-arg=-Wl,-N",
        "--crate-type=bin", "code.rs", "-o", "rust", cwd=work)
    run("objcopy", "--remove-section=.comment", work / "rust")
    seeds.add("dwarf", "rust", (work / "rust").read_bytes())


def alternate(seeds, work):
    compile_cxx(work, "other", "g++", "-O1", "-gdwarf-5", "-Wl,--build-id=md5")
    for name, options in {"gcc5": [], "gcc5_sup": ["--dwarf-5"],
                          "gcc4": []}.items():
        source = work / name.split("_")[0]
        run("cp", source, work / "main")
        run("cp", work / "other", work / "beside")
        run("dwz", "-L", "100000", *options, "-m", "common", "-M", "common",
            "main", "beside", cwd=work)
        main = (work / "main").read_bytes()
        seeds.add_two("alternate_dwarf", name, main,
                      (work / "common").read_bytes())
        seeds.add("debug_link", name, main)


def split(seeds, work):
    for name, compiler, options in (
            ("gcc4", "g++", ["-gdwarf-4"]), ("gcc5", "g++", ["-gdwarf-5"]),
            ("clang4", "clang++-19", ["-gdwarf-4"]),
            ("clang5", "clang++-19", ["-gdwarf-5", "-ffunction-sections"])):
        run(compiler, *PLAIN, "-O1", "-gsplit-dwarf", *options, "-c", "code.cc",
            "-o", "split.o", cwd=work)
        run(compiler, *LINK, "split.o", "-o", "split", cwd=work)
        main = (work / "split").read_bytes()
        seeds.add_two("split_dwarf", name, main,
                      (work / "split.dwo").read_bytes())
        if name.startswith("clang"):
            run("llvm-dwp-19", "-e", "split", "-o", "split.dwp", cwd=work)
            seeds.add_two("split_dwarf", name + "_package", main,
                          (work / "split.dwp").read_bytes())


def mini_debug_info(seeds, work):
    program = work / "gcc5"
    run("objcopy", "--only-keep-debug", program, work / "debug")
    run("objcopy", "--strip-debug", "--remove-section=.comment",
        work / "debug", work / "mini")
    inner = (work / "mini").read_bytes()
    seeds.add("mini_debug_info", "inner", b"\1" + inner)
    packed = lzma.compress(inner, check=lzma.CHECK_CRC64)
    seeds.add("mini_debug_info", "stream", b"\0" + packed)
    (work / "mini.xz").write_bytes(packed)
    run("objcopy", "--strip-all", "--add-section",
        f".gnu_debugdata={work / 'mini.xz'}", program, work / "with_mini")
    seeds.add("mini_debug_info", "file", (work / "with_mini").read_bytes())


def debug_link(seeds, work):
    run("objcopy", "--strip-all", f"--add-gnu-debuglink={work / 'debug'}",
        work / "gcc5", work / "linked")
    seeds.add("debug_link", "debug_link", (work / "linked").read_bytes())


def go_table(magic):
    """Three functions of 32 bytes, with names, files, lines and depths."""
    is_old = magic == 0xfffffffa
    entry = 8 if is_old else 4
    names = b"\0main.main\0main.work\0runtime.goexit\0"
    units = struct.pack("<3I", 0, 9, 0xffffffff)
    files = b"main.go\0\0work.go\0"
    # Differences are zigzag, from -1; lengths are in bytes.
    programs = (b"\0" + bytes([2, 32, 0])               # file 0
                + bytes([22, 8, 4, 24, 0])              # lines 10, 12
                + bytes([2, 1, 16, 3, 16, 27, 15, 1, 0]))  # depths
    head = 8 + (7 if is_old else 8) * 8
    offsets = []
    body = b""
    for part in (names, units, files, programs):
        offsets.append(head + len(body))
        body += part + bytes(-len(part) % 8)
    offsets.append(head + len(body))
    count = 3
    record_start = (count * 2 + 1) * entry
    record_start += -record_start % 8
    record_size = 48
    table = b""
    pack = "<Q" if is_old else "<I"
    text = 0x401000 if is_old else 0
    for i in range(count + 1):
        table += struct.pack(pack, text + i * 32)
        if i < count:
            table += struct.pack(pack, record_start + i * record_size)
    table += bytes(record_start - len(table))
    for i, name in enumerate((1, 11, 21)):
        record = struct.pack(pack, text + i * 32)
        record += struct.pack("<8I", name, 0, 0, 9, 1, 4, 3, 0)
        record += struct.pack("<I", 10 + i)  # start line
        record += bytes([i, i, 0, 0])
        table += record + bytes(record_size - len(record))
    header = struct.pack("<IHBBQQ", magic, 0, 1, 8, count, 2)
    if not is_old:
        header += struct.pack("<Q", 0x401000)
    return header + struct.pack("<5Q", *offsets) + body + table


def line_program(seeds, work):
    for name in ("gcc2", "gcc4", "gcc5", "gcc5_64bit", "clang5"):
        parts = []
        for section in (".debug_line", ".debug_line_str"):
            output = work / "section"
            output.write_bytes(b"")
            subprocess.run(["objcopy", "-O", "binary", "--only-section",
                            section, "--set-section-flags",
                            section + "=alloc", work / name, output],
                           stderr=subprocess.DEVNULL, check=True)
            parts.append(output.read_bytes())
        seeds.add_two("line_program", name, *parts)


def decompress(seeds):
    text = b"section " * 40
    size = struct.pack("<Q", len(text))
    packed = zlib.compress(text, 9)
    seeds.add("decompress", "zlib", b"\0" + size + packed)
    zstd = subprocess.run(["zstd", "-c"], input=text, stdout=subprocess.PIPE,
                          check=True).stdout
    seeds.add("decompress", "zstd", b"\1" + size + zstd)
    for check in (lzma.CHECK_NONE, lzma.CHECK_CRC64):
        seeds.add("decompress", f"xz{check}",
                  b"\2" + size + lzma.compress(text, check=check))
    seeds.add("decompress", "zdebug",
              b"\3ZLIB" + struct.pack(">Q", len(text)) + packed)


NAMES = """_ZN2ns1AIiE3fooEi
_ZN2ns1AIiE3fooEi.isra.0
_ZNSt6vectorIiSaIiEE9push_backERKi
_ZZN2ns1fIiEEvT_ENKUlvE_clEv
_ZZ1fvENKUt_1gEv
_ZN1AC2Ev.cold
_ZTv0_n24_N1B1fEv
_ZNKSt8functionIFvvEEclEv@plt
_ZN4core3fmt5Write9write_fmt17h0123456789abcdefE
_ZN50_$LT$T$u20$as$u20$core..any..Any$GT$7type_id17h0123456789abcdefE
_RNvCs1234_7mycrate3foo
_RNvXs_NtCs1_4core3fmtNtB4_5ErrorNtB4_5Debug3fmt
_RINvNtC3std3mem4swapNtC1a1bE
_RNCNvC1a4main0
f<int>
ns::<lambda(int)>::operator()
operator<< <int>
ns::S<(anonymous namespace)::T>::operator->() const
main.(*T).Method-fm
$s4main3FooV3barSiyF
_D3std5stdio7writelnFZv""".splitlines()


def texts(seeds):
    for i, name in enumerate(NAMES):
        seeds.add("demangle", f"name{i:02}", name.encode())
    seeds.add("kallsyms", "ordinary", b"""0000000000000000 A fixed_percpu_data
ffffffff81000000 T startup_64
ffffffff81000000 t _stext
ffffffff81000040 W weak_one
ffffffff81000080 D some_data
ffffffff810000c0 t inner\t[ext4]
ffffffff81000100 t bpf_prog_6deef7357e7b4530\t[bpf]
""")
    seeds.add("kallsyms", "hidden", b"0000000000000000 T startup_64\n")
    seeds.add("kallsyms", "malformed", b"\n x\nffffffff81000000\nzz T a\n"
              b"ffffffff81000001 TT b\nffffffff81000002 T c")
    listing = (b"/.\n/usr\n/usr/lib/x86_64-linux-gnu/libc.so.6\n"
               b"/lib/x86_64-linux-gnu/libc.so.6\n/bin/x\n")
    seeds.add_two("target_system", "list", listing, b"libc6:amd64")
    seeds.add_two("target_system", "debug_list", listing, b"libc6-dbg")
    release = (b'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nID=debian\n'
               b"ID_LIKE='a b\\'\nNAME=x\n")
    seeds.add_two("target_system", "os_release", release, b"../x")


def expressions(seeds):
    for name, body in {
            "cfa_plt": bytes([0x77, 8, 0x80, 0, 0x3f, 0x1a, 0x3b, 0x2a, 0x33,
                              0x24, 0x22]),
            "register": bytes([0x77, 0x90, 0x7f, 0x06]),
            "bregx": bytes([0x92, 7, 8]),
            "loop": bytes([0x31, 0x31, 0x1c, 0x12, 0x28, 0xfb, 0xff, 0x2f, 0xf9,
                           0xff]),
            "constants": bytes([0x08, 1, 0x09, 0xff, 0x0a, 1, 2, 0x0c, 1, 2, 3,
                                4, 0x11, 0x7f, 0x17, 0x16, 0x15, 1, 0x1b, 0x94,
                                4]),
    }.items():
        seeds.add("dwarf_expression", name, body)


def stacks(seeds, tree):
    """Registers that point into the code of the eh_frame corpus."""
    for path in sorted((tree / "corpus/eh_frame").iterdir()):
        for into in (0, 5, 33):
            registers = [0x30, 0, 0, 0, 0, 0, 0x7fff00000040, 0x7fff00000000,
                         *[0] * 8, 0x11000 + into]
            stack = struct.pack("<16Q", *[0x11005, 0x7fff00000060] * 8)
            seeds.add_two("stack_unwinder", f"{path.name}_{into}",
                          struct.pack("<17Q", *registers) + stack,
                          path.read_bytes())


ALLOCATOR = """
#define FUNCTION(name) void* name(unsigned long a, unsigned long b) { \\
  static unsigned long used; return used += a * b, (void*)used; }
void* PREFIX(malloc)(unsigned long a) { return a ? (void*)a : (void*)1; }
void PREFIX(free)(void* p) { if (p) *(char*)p = 0; }
FUNCTION(PREFIX(calloc)) FUNCTION(PREFIX(realloc)) FUNCTION(PREFIX(memalign))
FUNCTION(TELL)
#ifdef IMPORT
extern void* aligned_alloc(unsigned long, unsigned long);
void* (*slot)(unsigned long, unsigned long) = aligned_alloc;
void* posix(void) { return aligned_alloc(16, 32); }
#endif
void _start(void) { PREFIX(free)(PREFIX(malloc)(3)); for (;;) {} }
"""


def allocators(seeds, work):
    (work / "allocator.c").write_text(ALLOCATOR)
    library = ["-shared", "-fPIC", "-Wl,-soname,a", "-DIMPORT"]
    for name, tell, prefix, options in (
            ("library", "mallocx", "n", library),
            ("static", "__libc_malloc", "n", ["-static", "-no-pie"]),
            ("static_pie", "__libc_malloc_impl", "n", ["-static-pie", "-fPIE"]),
            ("prefixed", "tell", "_rjem_##n", library)):
        run("gcc", "-O2", "-fno-builtin", "-nostdlib", "-Wl,--build-id=none",
            "-fno-asynchronous-unwind-tables", "-Wl,-z,noseparate-code",
            "-Wl,--hash-style=gnu", f"-DPREFIX(n)={prefix}", f"-DTELL={tell}",
            *options, "allocator.c", "-o", name, cwd=work)
        run("objcopy", "--remove-section=.comment", work / name)
        seeds.add("allocator_functions", name, (work / name).read_bytes())


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    seeds = Seeds(pathlib.Path(sys.argv[1]))
    with tempfile.TemporaryDirectory() as name:
        work = pathlib.Path(name)
        dwarf(seeds, work)
        alternate(seeds, work)
        split(seeds, work)
        mini_debug_info(seeds, work)
        debug_link(seeds, work)
        line_program(seeds, work)
        allocators(seeds, work)
    decompress(seeds)
    texts(seeds)
    expressions(seeds)
    stacks(seeds, pathlib.Path(__file__).resolve().parent)
    for version, magic in {"16": 0xfffffffa, "18": 0xfffffff0,
                           "20": 0xfffffff1}.items():
        seeds.add("go_pclntab", "go" + version, go_table(magic))


if __name__ == "__main__":
    main()
