// Fuzz target: lines of `pprofd symbolize`.
//
// Questions are about files of an empty folder and "a", a small program: a
// slash would lead out of it. Each question has an answer that ends.

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <sstream>

#include "daemon/symbolize_command.h"
#include "daemon/unwind/test_elf.h"
#include "tests/fuzz/fuzz_input.h"

namespace pprofd {
namespace {

// In the folder with the program, and back.
class Visit {
 public:
  Visit() : home_(open(".", O_PATH | O_DIRECTORY | O_CLOEXEC)) {
    static const bool is_ready = [] {
      TestElf elf(TestBytes(64, 0x90));
      WriteFile(FuzzFolder() + "/a", elf.Build());
      return true;
    }();
    if (!is_ready || !home_ || chdir(FuzzFolder().c_str()) != 0) abort();
  }
  ~Visit() {
    if (fchdir(home_.get()) != 0) abort();
  }
  Visit(const Visit&) = delete;
  Visit& operator=(const Visit&) = delete;

 private:
  UniqueFd home_;
};

}  // namespace
}  // namespace pprofd

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace pprofd;
  Visit visit;
  std::string text(reinterpret_cast<const char*>(data), size);
  std::replace(text.begin(), text.end(), '/', '_');
  std::istringstream in(text);
  std::ostringstream out;
  std::ostringstream errors;
  Symbolizer::Options options;
  options.debug_roots.clear();
  SymbolizeCommand(options, DemangleStyle::kShort).Run(in, out, errors);
  std::string answer = out.str();
  if (!answer.empty() && !answer.ends_with('\n')) abort();
  return 0;
}
