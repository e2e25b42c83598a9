// ProcessExplanation: why the profile of a process looks as it does: where the
// unwind rows and the names of each module come from, what is missing, and what
// would mend it.
//
// Nothing is guessed: what is not known has a `problem` that says why.
// Thread: value.
// Bound: its maker's; `modules_left_out` says what did not fit.
#ifndef DAEMON_MODEL_PROCESS_EXPLANATION_H_
#define DAEMON_MODEL_PROCESS_EXPLANATION_H_

#include <cstdint>
#include <string>
#include <vector>

namespace pprofd {

// What to do; `command` is for a shell, "" = there is none.
struct Advice {
  std::string text;
  std::string command;
};

struct UnwindFacts {
  enum class State {
    kUnknown,   // `problem` says why
    kNotBuilt,  // no sample has asked for it, or not since it was evicted
    kBuilt,
    kRefused,  // `problem` says why
  };
  State state = State::kUnknown;
  std::string problem;
  uint64_t rows = 0;  // of kBuilt
  // What rows come from, or would.
  uint64_t eh_frame_functions = 0;
  uint64_t debug_frame_functions = 0;
  uint64_t go_functions = 0;
  uint64_t signal_trampolines = 0;
  uint64_t skipped_records = 0;  // of call frame information, not understood
  uint64_t covered_bytes = 0;    // of code_bytes, by rows; of kBuilt
  uint64_t code_bytes = 0;
  std::vector<std::string> shared_with;  // other files with this table
  uint64_t shared_left_out = 0;

  bool has_source() const {
    return eh_frame_functions + debug_frame_functions + go_functions +
               signal_trampolines >
           0;
  }
};

struct SymbolFacts {
  bool is_known = false;   // else `problem` says why not
  bool is_in_use = false;  // a profile or query has asked for its names
  std::string problem;
  std::vector<std::string> attempts;  // where names were searched
  bool has_dwarf = false;
  bool has_symtab = false;
  bool has_dynsym = false;
  bool has_go_table = false;
};

struct ModuleFacts {
  std::string path;  // as the process sees it
  std::string build_id;
  bool is_deleted = false;
  std::string problem;       // why its file cannot be read
  uint64_t samples = 0;      // of the stacks below, that passed through it
  uint64_t cut_samples = 0;  // of those, that ended in it for want of rows
  UnwindFacts unwind;
  SymbolFacts symbols;
  std::string package;               // that the file belongs to, "" unknown
  std::vector<std::string> missing;  // "DWARF", "symbol table", "unwind rows"
  std::vector<Advice> advice;
};

// How many stacks were cut, why, and where.
struct StackCut {
  std::string reason;
  std::string module;  // "" = not due to one
  uint64_t samples = 0;
};

struct StackFacts {
  double seconds = 0;  // of history
  uint64_t samples = 0;
  uint64_t complete = 0;
  uint64_t mixed = 0;
  uint64_t truncated = 0;
  uint64_t without_user = 0;
  std::vector<StackCut> cuts;  // most samples first
  uint64_t cuts_left_out = 0;
};

// Code without a file: just-in-time compiled, mostly.
struct JitFacts {
  uint64_t mappings = 0;  // anonymous and executable, now
  uint64_t bytes = 0;
  uint64_t samples = 0;  // of the stacks, that passed through such code
  bool has_map = false;
  std::string map_path;  // as the process sees it
  std::string problem;   // why there is no map
  bool has_dump = false;
  std::string dump_path;     // of the jitdump, as the process sees it
  std::string dump_problem;  // why one that it has is not read
  std::vector<std::string> attempts;
  std::vector<Advice> advice;
};

// Whether its allocations can be sampled.
struct HeapFacts {
  std::string allocators;   // "glibc in /usr/lib/…/libc.so.6"; "" none
  std::string problem;      // why they cannot
  uint64_t functions = 0;   // to be probed
  bool is_stepped = false;  // some of them at the cost of single steps
  bool has_rss = false;     // the picture that needs no allocator
};

struct KernelFacts {
  std::vector<std::string> attempts;
  bool has_names = false;
  std::string kptr_restrict;  // "" unknown
  std::vector<Advice> advice;
};

struct ProcessExplanation {
  bool is_kernel_thread = false;
  bool exited = false;          // modules: as last seen
  std::string system;           // "Debian GNU/Linux 12 (bookworm)"
  std::string system_problem;   // why that is not known
  std::string package_problem;  // why packages may be missing below
  std::string modules_problem;  // why modules may be missing below
  StackFacts stacks;
  std::vector<ModuleFacts> modules;  // most samples first
  uint64_t modules_left_out = 0;
  JitFacts jit;
  HeapFacts heap;
  KernelFacts kernel;
};

}  // namespace pprofd

#endif  // DAEMON_MODEL_PROCESS_EXPLANATION_H_
