"""The judge of the kernel tests, on consoles made up here."""

import json

import judge

TRUTH = {"scenarios": [
    {"chains": [["leaf", "hop", "path", "main"]], "roots": []},
    {"chains": [["leaf", "Thread"]], "roots": []},
    {"chains": [["leaf", "Fiber"]], "roots": ["Fiber"]},
]}


RSS = ["_start;main;path 400000", "[truncated: process inside execve] 4096"]


def console(collapsed, insns=1000, status=0, rss=tuple(RSS), rss_status=0):
    return "\r\n".join([
        "SeaBIOS", "@@begin check", f"verified_insns cpu {insns}",
        f"@@end check {status}",
        "@@begin profile:burn", *collapsed, "@@end profile:burn 0",
        "@@begin rss:burn", *rss, f"@@end rss:burn {rss_status}",
        "@@begin truth:burn", json.dumps(TRUTH), "@@end truth:burn 0",
        "@@begin stop", "@@end stop 0", ""])


def failures(*arguments, **options):
    return judge.judge(console(*arguments, **options), ["burn"])[0]


def test_known_chains_pass():
    assert not failures([
        "_start;__libc_start_main;main;path;hop;leaf 90",
        "_start;__libc_start_main;main;path;hop 10",
        "_start;main;path;qsort;hop;leaf;asm_sysvec_[k];tick_[k] 10",
        "clone3;start_thread;Thread;leaf 10",
    ])


def test_a_missing_caller_is_no_known_chain():
    assert failures(["main;path;leaf 2", "main;path;hop;leaf 98"])
    assert not failures(["main;path;leaf 1", "main;path;hop;leaf 99"])


def test_a_cut_stack_is_not_exact():
    assert failures(["[truncated: no unwind rows];Thread;leaf 100"])
    assert failures(["[libc.so.6];path;hop;leaf 100"])


def test_a_stack_made_by_the_program_may_end_there():
    assert not failures(["[truncated: not executable];Fiber;leaf 100"])


def test_a_thread_without_memory_has_no_stack_to_miss():
    exiting = "[truncated: thread exiting, its memory is gone]"
    assert not failures([f"{exiting};do_exit_[k] 5", "Thread;leaf 95"])


def test_a_kernel_that_shows_nothing_of_the_program_fails():
    exiting = "[truncated: thread exiting, its memory is gone]"
    assert failures([f"{exiting};do_exit_[k] 100"])
    assert failures(["do_syscall_64_[k] 60", "Thread;leaf 40"])


def test_frames_without_names_do_not_matter():
    assert not failures(["[libc.so.6];[libc.so.6];Thread;leaf 90",
                         "[libc.so.6];[libc.so.6] 10"])


def test_few_samples_fail():
    assert failures(["main;path;hop;leaf 49"])


def test_the_instruction_budget_holds():
    stacks = ["main;path;hop;leaf 100"]
    assert not failures(stacks, insns=199_999)
    assert failures(stacks, insns=200_000)


def test_page_faults_must_be_sampled_with_whole_stacks():
    stacks = ["main;path;hop;leaf 100"]
    assert failures(stacks, rss=RSS[1:])
    assert failures(stacks, rss=["[truncated: no unwind rows] 400000"])
    assert failures(stacks, rss=["Could not enable rss profiling: no"],
                    rss_status=1)


def test_a_failing_check_fails():
    assert failures(["main;path;hop;leaf 100"], status=1)


def test_an_interrupted_console_fails():
    text = console(["main;path;hop;leaf 100"])
    assert judge.judge(text[:text.index("@@begin stop")], ["burn"])[0]
    assert judge.judge("", ["burn"])[0]
