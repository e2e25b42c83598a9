// Fuzz target: DWARF whose units are in a file of their own, both files in one
// input.
//
// The second file is found as a .dwp package beside the first, which does for
// .dwo files too: a package of one unit.

#include "tests/fuzz/fuzz_input.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace pprofd;
  TwoParts files = SplitInput({data, size});
  const std::string path = FuzzFolder() + "/main";
  WriteFile(path + ".dwp", files.second);
  SymbolizeBytes(files.first, path);
  return 0;
}
