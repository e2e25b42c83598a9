"""libpprofd_heap.so: heap profiles of programs from their start, nearly free."""
import json
import os
import pathlib
import re
import signal
import subprocess
import sys

import pytest

import daemon_process
from heap_live_test import (ALLOCATORS, PRELOADS, THROWING_PROGRAM,
                            comment_with, heap, sums)
from heap_live_test import leave_out_callers_of_musl
from heap_truth import HeapTarget, HeapTruth
from pprof_client import PprofClient
from pprof_profile import Profile
from target_process import TARGETS_DIR
from waiting import wait_until

LIBRARY = daemon_process.BINARY.parent / "libpprofd_heap.so"
# For allocators with operators of their own.
WITH_OPERATORS = daemon_process.BINARY.parent / "libpprofd_heap_new.so"
# A static program loads no library.
DYNAMIC = [(allocator, program) for allocator, program in ALLOCATORS
           if not program.endswith("_static")]


def environment_for(allocator="glibc", period=None):
    environment = dict(os.environ)
    environment["LD_PRELOAD"] = (
        f"{WITH_OPERATORS}:{PRELOADS[allocator]}" if allocator in PRELOADS
        else str(LIBRARY))
    if period is not None:
        environment["PPROFD_HEAP_PERIOD"] = str(period)
    return environment


def start(name, arguments, directory, allocator="glibc", period=None):
    if not (TARGETS_DIR / name).exists():
        pytest.skip(f"{name} is not built here")
    return HeapTarget(name, arguments, directory,
                      env=environment_for(allocator, period))


def meet(client, name, directory, allocator="glibc"):
    """Lets the daemon read what the program executes: with a period of 1, a
    program it has never met samples more than stacks can wait for that."""
    def is_known():
        with start(name, ["hold", 100, 64] if "sites" in name else [10],
                   directory, allocator, 1) as target:
            target.act()
            stacks = heap(client, target.pid).samples
            return not any("deferred" in frame for sample in stacks
                           for frame in sample.all_names)
    wait_until(is_known, f"{name} is known", 20)


@pytest.mark.parametrize("allocator,program", DYNAMIC,
                         ids=map("-".join, DYNAMIC))
def test_every_call_is_counted_once_before_anybody_asks(
        client, tmp_path, allocator, program):
    meet(client, program, tmp_path, allocator)
    with start(program, ["api"], tmp_path, allocator, 1) as target:
        truth = target.act()
        profile = heap(client, target.pid)
        if allocator == "jemalloc":
            # Has none; libc's gives memory that jemalloc knows nothing of.
            del truth.sites["api_pvalloc"]
        elif allocator == "musl":
            leave_out_callers_of_musl(truth)
        truth.check_exact(profile)
        assert truth.wrong_callers(profile) == []
        assert "preloaded" in comment_with(profile, "heap_source")
        target.finish()


@pytest.mark.parametrize("allocator", ["glibc", *PRELOADS])
def test_blocks_of_operator_new_are_known_to_be_in_use(
        client, tmp_path, allocator):
    meet(client, "heap_new", tmp_path, allocator)
    with start("heap_new", [1000], tmp_path, allocator, 1) as target:
        truth = target.act()
        profile = heap(client, target.pid)
        truth.check_exact(profile)
        assert truth.wrong_callers(profile) == []
        truth = target.act()
        truth.check_exact(heap(client, target.pid))
        target.finish()


@pytest.mark.parametrize("allocator,program", DYNAMIC,
                         ids=map("-".join, DYNAMIC))
def test_sampled_sums_are_no_further_from_the_truth_than_chance(
        client, tmp_path, allocator, program):
    with start(program, ["mix", 400, 4], tmp_path, allocator) as target:
        truth = target.act(120)
        profile = heap(client, target.pid)
        # Doubled while there are more than 5,000 samples a second.
        assert profile.message.period in (1 << 19, 1 << 20, 1 << 21)
        if allocator == "musl":
            said = sums(profile)[1]
            # At the longest period 1,300 samples: more than four deviations.
            assert abs(said / truth.totals["bytes"] - 1) < 0.12
            return  # as some callers are not known
        truth.check_sampled(profile)
        assert truth.wrong_callers(profile) == []
        target.finish()


def test_blocks_freed_by_another_thread_are_freed(client, tmp_path):
    with start("heap_sites", ["pass", 2000, 2], tmp_path, period=1) as target:
        truth = target.act(120)
        truth.check_exact(heap(client, target.pid))
        target.finish()


def test_a_program_is_known_after_its_exit(client, tmp_path):
    with start("heap_sites", ["hold", 5000, 1024], tmp_path,
               period=1) as target:
        truth = target.act()
        target.act()
        target.finish()
        profile = heap(client, target.pid)
        assert truth.sums_of(profile)["hold_block"].alloc_objects == 5000
        assert comment_with(profile, "exited")


def test_each_program_of_a_process_is_known_by_itself(client, tmp_path):
    """A shell that allocates nothing like it becomes the target."""
    program = TARGETS_DIR / "heap_sites"
    environment = environment_for(period=1)
    with subprocess.Popen(
            [sys.executable, "-c",
             "import os, sys; blocks = [bytes(5000) for _ in range(2000)];"
             "os.execv(sys.argv[1], sys.argv[1:])",
             program, "hold", "300", "2048"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env=environment) as target:
        assert target.stdout.readline().startswith("ready")
        target.stdin.write("\n")
        target.stdin.flush()
        assert target.stdout.readline().startswith("{")
        profile = heap(client, target.pid)
        names = {name for sample in profile.samples
                 for name in sample.all_names}
        assert "hold_block" in names and not any("Py" in name for name in names)
        target.stdin.close()
        assert target.wait(20) == 0


def test_children_have_heaps_of_their_own(client, tmp_path):
    with subprocess.Popen([sys.executable, "-c", FORKING_PROGRAM],
                          stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          text=True, env=environment_for()) as target:
        child = int(target.stdout.readline())
        of_child = sums(heap(client, child))
        of_parent = sums(heap(client, target.pid))
        assert abs(of_child[3] / (300 << 20) - 1) < 0.25
        assert abs(of_parent[3] / (100 << 20) - 1) < 0.35
        target.stdin.close()
        assert target.wait(20) == 0


# One allocates 100 MiB, its child frees them and allocates 300.
FORKING_PROGRAM = """
import ctypes, os, sys
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
libc.free.argtypes = [ctypes.c_void_p]
def take(count):
    return [libc.malloc(64 << 10) for _ in range(count)]
blocks = take(1600)
told, telling = os.pipe()
child = os.fork()
if child == 0:
    for block in blocks: libc.free(block)
    blocks = take(4800)
    os.write(telling, b"x")
    sys.stdin.read()
    os._exit(0)
os.close(telling)
assert os.read(told, 1) == b"x"
print(child, flush=True)
sys.stdin.read()
os.waitpid(child, 0)
"""


def test_programs_that_have_gone_make_room(tmp_path):
    daemon = daemon_process.DaemonProcess(
        tmp_path, config="heap:\n  max_processes: 2\n")
    try:
        daemon.wait_until_listening()
        client = PprofClient(daemon.url)
        for _ in range(12):
            subprocess.run(["/bin/true"], env=environment_for(period=1),
                           check=True)
        with start("heap_sites", ["hold", 100, 64], tmp_path,
                   period=1) as target:
            target.act()
            assert sums(heap(client, target.pid))[2] >= 100
            # Nor do they take the room of those that are probed.
            with HeapTarget("heap_sites", ["hold", 1, 64], tmp_path) as other:
                assert client.get("heap", pid=other.pid).status == 200
    finally:
        assert daemon.stop() == 0


def test_rate_is_refused_as_the_program_has_chosen(client, tmp_path):
    with start("heap_sites", ["hold", 10, 64], tmp_path) as target:
        reply = client.get("heap", pid=target.pid, rate=1)
        assert reply.status == 500
        assert "PPROFD_HEAP_PERIOD" in reply.text
        profile = heap(client, target.pid)
        assert "preloaded" in comment_with(profile, "heap_source")


def test_text_estimates_what_was_not_seen(client, tmp_path):
    with start("heap_sites", ["hold", 50_000, 4096], tmp_path) as target:
        target.act()
        text = client.get("heap", pid=target.pid, debug=1).text
        numbers = dict(re.findall(r"^# (\w+) = (\d+)$", text, re.MULTILINE))
        # 390 samples: five deviations.
        assert abs(int(numbers["Mallocs"]) / 50_000 - 1) < 0.26
        assert abs(int(numbers["HeapAlloc"]) / (50_000 * 4096) - 1) < 0.26
        target.act()
        target.finish()


@pytest.mark.parametrize("allocator", ["glibc", "jemalloc", "tcmalloc"])
def test_exceptions_of_operator_new_reach_their_handlers(
        client, tmp_path, allocator):
    source = tmp_path / "throwing.cc"
    source.write_text(THROWING_PROGRAM)
    program = tmp_path / "throwing"
    subprocess.run(["g++-12", "-O2", source, "-o", program], check=True)
    with subprocess.Popen([program], stdin=subprocess.PIPE, text=True,
                          stdout=subprocess.PIPE,
                          env=environment_for(allocator, 1)) as target:
        assert target.stdout.readline() == "ready\n"
        target.stdin.write("\n")
        target.stdin.flush()
        assert target.stdout.readline() == "caught 100\n"
        assert target.wait(20) == 0
    client.get("cmdline", pid=os.getpid())


# Threads that end, children, and libraries that come and go.
HARD_PROGRAM = r"""
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static void* work(void* argument) {
  for (int i = 0; i < 500; ++i) {
    void* volatile block = malloc(1 + i % 4096);
    block = realloc(block, 1 + i % 9000);
    free(block);
  }
  return argument;
}
int main(int argc, char** argv) {
  for (int round = 0; round < atoi(argv[1]); ++round) {
    pthread_t threads[4];
    for (int i = 0; i < 4; ++i) pthread_create(&threads[i], NULL, work, NULL);
    void* library = dlopen("libz.so.1", RTLD_NOW);
    for (int i = 0; i < 4; ++i) pthread_join(threads[i], NULL);
    if (library) dlclose(library);
    if (fork() == 0) {
      work(NULL);
      _exit(0);
    }
    int status = 1;
    if (wait(&status) < 0 || status != 0) return 1;
  }
  puts("done");
}
"""

@pytest.mark.parametrize("period,rounds", [(1, 3), (65536, 30)])
@pytest.mark.parametrize("allocator", ["glibc", *PRELOADS])
def test_threads_forks_and_libraries_come_and_go(
        client, tmp_path, allocator, period, rounds):
    source = tmp_path / "hard.c"
    source.write_text(HARD_PROGRAM)
    program = tmp_path / "hard"
    subprocess.run(["gcc-12", "-O2", "-w", source, "-o", program, "-pthread"],
                   check=True)
    done = subprocess.run([program, str(rounds)],
                          env=environment_for(allocator, period),
                          capture_output=True, text=True, timeout=100,
                          check=True)
    assert done.stdout == "done\n" and done.stderr == ""
    client.get("profile", pid=os.getpid(), seconds=1)


# No allocator of Debian may be interrupted by itself; this one may.
BUMP_ALLOCATOR = r"""
#include <stddef.h>
#include <string.h>
static char arena[1 << 28] __attribute__((aligned(16)));
static size_t used;
void* malloc(size_t bytes) {
  size_t whole = (bytes + 31) & ~(size_t)15;
  size_t at = __atomic_fetch_add(&used, whole, __ATOMIC_RELAXED);
  if (at + whole > sizeof(arena)) return NULL;
  *(size_t*)(arena + at) = bytes;
  return arena + at + 16;
}
void free(void* block) { (void)block; }
void* calloc(size_t count, size_t bytes) { return malloc(count * bytes); }
void* realloc(void* old, size_t bytes) {
  void* block = malloc(bytes);
  if (!old || !block) return block;
  size_t kept = *(size_t*)((char*)old - 16);
  memcpy(block, old, kept < bytes ? kept : bytes);
  return block;
}
"""
INTERRUPTED_PROGRAM = r"""
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/time.h>
#include <unistd.h>
static volatile int calls_of_handler;
__attribute__((noipa)) void handler_site(int number) {
  free(malloc(100));
  ++calls_of_handler;
}
__attribute__((noipa)) void main_site(void) { free(malloc(200)); }
int main(int argc, char** argv) {
  signal(SIGALRM, handler_site);
  struct itimerval often = {{0, 100}, {0, 100}};
  setitimer(ITIMER_REAL, &often, NULL);
  for (int i = atoi(argv[1]); i > 0; --i) main_site();
  struct itimerval never = {{0, 0}, {0, 0}};
  setitimer(ITIMER_REAL, &never, NULL);
  char line[64];
  int length = snprintf(line, sizeof(line), "%d\n", calls_of_handler);
  write(1, line, length);
  read(0, line, 1);
}
"""


def test_signal_handlers_may_allocate_if_the_allocator_lets_them(
        client, tmp_path):
    for name, text, flags in (
            ("bump", BUMP_ALLOCATOR, ["-shared", "-fPIC"]),
            ("interrupted", INTERRUPTED_PROGRAM, [])):
        source = tmp_path / f"{name}.c"
        source.write_text(text)
        subprocess.run(["gcc-12", "-O1", "-fno-builtin", "-w", *flags, source,
                        "-o", tmp_path / name], check=True)
    environment = environment_for(period=1)
    environment["LD_PRELOAD"] += f":{tmp_path}/bump"

    def run(calls):
        """A pipe to it, when it has allocated."""
        target = subprocess.Popen(
            [tmp_path / "interrupted", str(calls)], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, text=True, env=environment)
        return target, int(target.stdout.readline())

    def is_known():
        with run(50)[0] as target:
            stacks = heap(client, target.pid).samples
            target.stdin.close()
            return not any("deferred" in frame for sample in stacks
                           for frame in sample.all_names)
    wait_until(is_known, "the program is known", 20)
    process, handled = run(3000)
    with process as target:
        objects = {"handler_site": 0, "main_site": 0}
        in_use = 0
        profile = heap(client, target.pid)
        for sample, message in zip(profile.samples, profile.message.sample):
            # Of both, the one that allocates comes first.
            site = next((name for name in sample.all_names
                         if name in objects), None)
            if site:
                objects[site] += message.value[0]
                in_use += message.value[2]
        assert objects == {"handler_site": handled, "main_site": 3000}
        assert handled > 10
        assert in_use == 0, profile.comments
        target.stdin.close()
        assert target.wait(20) == 0


def test_programs_with_more_rights_do_not_load_it(tmp_path):
    """By a path the dynamic linker loads nothing into them."""
    program = tmp_path / "cat"
    program.write_bytes(pathlib.Path("/bin/cat").read_bytes())
    library = tmp_path / LIBRARY.name  # where everybody may read it
    library.write_bytes(LIBRARY.read_bytes())
    library.chmod(0o755)
    for mode, is_loaded in ((0o755, True), (0o4755, False)):
        program.chmod(mode)
        for folder in (tmp_path, *tmp_path.parents[:2]):
            folder.chmod(0o755)
        done = subprocess.run(
            ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups",
             program, "/proc/self/maps"],
            env=dict(os.environ, LD_PRELOAD=str(library)),
            capture_output=True, text=True, timeout=20, check=True)
        assert ("libpprofd_heap" in done.stdout) == is_loaded, done


def test_without_a_daemon_a_program_runs_as_ever(tmp_path):
    with start("heap_sites", ["mix", 100, 2], tmp_path) as target:
        assert target.act(60).totals["allocs"] > 0
        target.finish()


def test_programs_outlive_a_daemon_and_are_heard_by_the_next(tmp_path):
    with start("heap_sites", ["hold", 20_000, 1024], tmp_path,
               period=1) as target:
        (tmp_path / "one").mkdir()
        first = daemon_process.DaemonProcess(tmp_path / "one")
        first.wait_until_listening()
        truth = target.act()
        truth.check_exact(heap(PprofClient(first.url), target.pid))
        first.process.send_signal(signal.SIGKILL)
        first.process.wait()
        (tmp_path / "two").mkdir()
        second = daemon_process.DaemonProcess(tmp_path / "two")
        try:
            second.wait_until_listening()
            client = PprofClient(second.url)
            # It frees what the second has not seen.
            target.act()
            assert sums(heap(client, target.pid))[2] == 0
            target.finish()
        finally:
            assert second.stop() == 0


def test_a_library_installed_later_is_heard(tmp_path):
    """At heap.preload_library, looked at again and again."""
    path = tmp_path / "later" / "libpprofd_heap.so"
    daemon = daemon_process.DaemonProcess(
        tmp_path, config=f"heap:\n  preload_library: {path}\n")
    try:
        daemon.wait_until_listening()
        path.parent.mkdir()
        copy = path.with_suffix(".new")
        copy.write_bytes(LIBRARY.read_bytes())
        os.rename(copy, path)
        client = PprofClient(daemon.url)
        environment = dict(os.environ, LD_PRELOAD=str(path),
                           PPROFD_HEAP_PERIOD="1")

        def is_heard():
            """By what a program did before it was asked about."""
            with HeapTarget("heap_sites", ["hold", 100, 64], tmp_path,
                            env=environment) as target:
                target.act()
                return sums(heap(client, target.pid))[2] >= 100
        wait_until(is_heard, "the library is heard", 30)
    finally:
        assert daemon.stop() == 0


def test_record_writes_both_profiles_of_a_command(tmp_path):
    cpu, mem = tmp_path / "cpu.pb.gz", tmp_path / "mem.pb.gz"
    truth_lines = subprocess.run(
        [daemon_process.BINARY, "record", "-o", cpu, "-mem", mem, "--",
         TARGETS_DIR / "heap_sites", "mix", "400", "2"],
        input="\n\n\n", capture_output=True, text=True, timeout=100,
        check=True)
    assert "written" in truth_lines.stderr
    line = next(line for line in truth_lines.stdout.splitlines()
                if line.startswith("{"))
    truth = HeapTruth(json.loads(line))
    profile = Profile(mem.read_bytes())
    said = truth.sums_of(profile)
    for name, site in truth.sites.items():
        if site.alloc_space > 300 << 20:  # at the longest period 150 samples
            assert abs(said[name].alloc_space / site.alloc_space - 1) < 0.35
    assert truth.wrong_callers(profile) == []
    assert Profile(cpu.read_bytes()).sample_types == [
        ("samples", "count"), ("cpu", "nanoseconds")]


def test_record_ends_as_its_command_does(tmp_path):
    def status_of(*command):
        return subprocess.run(
            [daemon_process.BINARY, "record", "-o", tmp_path / "cpu.pb.gz",
             "--", *command], capture_output=True, text=True, timeout=60,
            check=False)
    assert status_of("sh", "-c", "exit 7").returncode == 7
    assert status_of("sh", "-c", "kill -TERM $$").returncode == 128 + 15
    absent = status_of("/no/such/program")
    assert absent.returncode == 1 and "/no/such/program" in absent.stderr


# Programs that notice what others do not. Each ends with 0 if all is well.
DELICATE_PROGRAMS = {
    "watches its floating-point exceptions": r"""
#define _GNU_SOURCE
#include <fenv.h>
#include <stdlib.h>
int main(void) {
  feclearexcept(FE_ALL_EXCEPT);
  for (int i = 0; i < 1000; ++i) free(malloc(4096));
  return fetestexcept(FE_ALL_EXCEPT) != 0;
}
""",
    "may not read the time-stamp counter": r"""
#include <stdlib.h>
#include <sys/prctl.h>
int main(void) {
  if (prctl(PR_SET_TSC, PR_TSC_SIGSEGV)) return 1;
  for (int i = 0; i < 3000; ++i) free(malloc(4096));
  return 0;
}
""",
    "asks whether it has C++": r"""
#include <stddef.h>
extern void* _Znwm(size_t bytes) __attribute__((weak));
int main(void) { return _Znwm && !_Znwm(10); }
""",
    "forks while a file is looked up": r"""
#define _GNU_SOURCE
#include <link.h>
#include <malloc.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>
static pthread_barrier_t inside;
static int stay(struct dl_phdr_info* info, size_t size, void* data) {
  pthread_barrier_wait(&inside);
  while (1) pause();
  return 0;
}
static void* look(void* argument) {
  dl_iterate_phdr(stay, NULL);
  return argument;
}
int main(void) {
  pthread_t thread;
  pthread_barrier_init(&inside, NULL, 2);
  pthread_create(&thread, NULL, look, NULL);
  pthread_barrier_wait(&inside);
  int status = 1;
  if (fork() == 0) {
    alarm(10);
    free(memalign(64, 100));
    _exit(0);
  }
  wait(&status);
  return status != 0;
}
""",
    "is asked for too much": r"""
#define _GNU_SOURCE
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
int main(void) {
  void* block = malloc(1000);
  void* volatile huge[] = {
      malloc(SIZE_MAX / 2), calloc((size_t)1 << 33, (size_t)1 << 33),
      realloc(block, SIZE_MAX / 2),
      reallocarray(block, (size_t)1 << 32, (size_t)1 << 32)};
  for (int i = 0; i < 4; ++i) {
    if (huge[i]) return 1;
  }
  if (errno != ENOMEM) return 2;
  free(block);
  return 0;
}
""",
}


@pytest.mark.parametrize("what", DELICATE_PROGRAMS)
def test_a_program_does_not_notice_the_library(client, tmp_path, what):
    source = tmp_path / "delicate.c"
    source.write_text(DELICATE_PROGRAMS[what])
    program = tmp_path / "delicate"
    subprocess.run(["gcc-12", "-O1", "-fno-builtin", "-w", source, "-o",
                    program, "-pthread", "-lm"], check=True)
    for library in (LIBRARY, WITH_OPERATORS):
        for period in ("1", "4096"):
            environment = dict(os.environ, LD_PRELOAD=str(library),
                               PPROFD_HEAP_PERIOD=period)
            assert subprocess.run([program], env=environment, timeout=60,
                                  check=False).returncode == 0
    client.get("cmdline", pid=os.getpid())


# A host of plug-ins with operators of their own, the first of which goes.
PLUGIN = r"""
#include <cstdlib>
#include <new>
extern "C" const char* name() { return NAME; }
static const char* called = "";
void* operator new(std::size_t bytes) { called = NAME; return malloc(bytes); }
void operator delete(void* block) noexcept { free(block); }
extern "C" const char* use() {
  int* volatile block = new int;
  delete block;
  return called;
}
"""
PLUGIN_HOST = r"""
#include <dlfcn.h>
#include <stdio.h>
int main(int argc, char** argv) {
  void* first = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
  void* second = dlopen(argv[2], RTLD_NOW | RTLD_LOCAL);
  if (!first || !second) return 1;
  puts(((const char* (*)(void))dlsym(first, "use"))());
  dlclose(first);
  puts(((const char* (*)(void))dlsym(second, "use"))());
  return 0;
}
"""


def test_plug_ins_keep_operators_of_their_own(tmp_path):
    plugins = []
    (tmp_path / "plugin.cc").write_text(PLUGIN)
    for name in ("one", "two"):
        plugins.append(tmp_path / f"{name}.so")
        subprocess.run(["g++-12", "-O1", "-shared", "-fPIC", "-nostdlib",
                        "-fno-exceptions", "-fno-sized-deallocation",
                        f'-DNAME="{name}"', tmp_path / "plugin.cc", "-o",
                        plugins[-1], "-lc"], check=True)
    (tmp_path / "host.c").write_text(PLUGIN_HOST)
    subprocess.run(["gcc-12", tmp_path / "host.c", "-o", tmp_path / "host"],
                   check=True)
    done = subprocess.run([tmp_path / "host", *plugins], check=True, text=True,
                          env=environment_for(period=1), capture_output=True)
    assert done.stdout == "one\ntwo\n"


# Tells of blocks that there never were.
LIAR_PROGRAM = r"""
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
void pprofd_heap_sampled(void* block, uint64_t bytes, uint64_t period);
void pprofd_heap_freed(void* block);
int main(void) {
  uint64_t odd[] = {0, 1, 4096, (uint64_t)1 << 47, (uint64_t)1 << 63, -1};
  for (int i = 0; i < 6; ++i) {
    for (int j = 0; j < 6; ++j) {
      for (int k = 0; k < 6; ++k) {
        pprofd_heap_sampled((void*)odd[i], odd[j], odd[k]);
        pprofd_heap_freed((void*)odd[i]);
      }
    }
  }
  for (uintptr_t i = 1; i <= 300000; ++i) {
    pprofd_heap_sampled((void*)(i * 16), 16, 1);
  }
  puts("told");
  fflush(stdout);
  getchar();
}
"""


def test_a_program_that_lies_harms_only_its_own_profile(client, tmp_path):
    (tmp_path / "liar.c").write_text(LIAR_PROGRAM)
    subprocess.run(["gcc-12", "-O1", tmp_path / "liar.c", "-o",
                    tmp_path / "liar", LIBRARY], check=True)
    with subprocess.Popen([tmp_path / "liar"], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE, text=True,
                          env=environment_for()) as liar:
        assert liar.stdout.readline() == "told\n"
        with start("heap_sites", ["hold", 5000, 1024], tmp_path,
                   period=1) as target:
            truth = target.act()
            truth.check_exact(heap(client, target.pid))
            target.act()
            target.finish()
        lies = heap(client, liar.pid).message.sample
        assert all(value >= 0 for sample in lies for value in sample.value)
        liar.stdin.close()
        assert liar.wait(20) == 0
