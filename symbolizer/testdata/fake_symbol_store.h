// FakeSymbolStore: a SymbolStore in memory, which counts what it is asked.
#ifndef SYMBOLIZER_TESTDATA_FAKE_SYMBOL_STORE_H_
#define SYMBOLIZER_TESTDATA_FAKE_SYMBOL_STORE_H_

#include <sys/mman.h>
#include <unistd.h>

#include <map>
#include <string>
#include <vector>

#include "symbolizer/symbol_store.h"

namespace pprofd {

class FakeSymbolStore : public SymbolStore {
 public:
  Result<UniqueFd> Load(const std::string& key, Purpose purpose) override {
    auto it = files.find(key);
    if (purpose == Purpose::kLookUp) ++(it == files.end() ? misses : hits);
    if (it == files.end()) return Status(StatusCode::kNotFound, "none");
    UniqueFd file(memfd_create("symbols", MFD_CLOEXEC));
    const std::vector<uint8_t>& bytes = it->second;
    if (write(file.get(), bytes.data(), bytes.size()) !=
        static_cast<ssize_t>(bytes.size())) {
      return Status(StatusCode::kIo, "write");
    }
    return file;
  }
  Status Save(const std::string& key, std::span<const uint8_t> bytes) override {
    ++saves;
    files[key].assign(bytes.begin(), bytes.end());
    return Status::Ok();
  }
  void Discard(const std::string& key) override {
    ++discards;
    files.erase(key);
  }

  std::map<std::string, std::vector<uint8_t>> files;
  int hits = 0;
  int misses = 0;
  int saves = 0;
  int discards = 0;
};

}  // namespace pprofd

#endif  // SYMBOLIZER_TESTDATA_FAKE_SYMBOL_STORE_H_
