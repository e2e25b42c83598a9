// FakeMapWriter: the BPF maps of the unwinder in memory, for tests.
#ifndef DAEMON_UNWIND_FAKE_MAP_WRITER_H_
#define DAEMON_UNWIND_FAKE_MAP_WRITER_H_

#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <tuple>
#include <vector>

#include "daemon/model/map_writer.h"

namespace pprofd {

class FakeMapWriter : public MapWriter {
 public:
  using Key = std::tuple<uint32_t, uint64_t, uint32_t, uint64_t>;
  static Key ToTuple(const pprofd_file_key& key) {
    return {key.device, key.inode, key.generation, key.ctime_ns};
  }

  Result<std::span<uint8_t>> AddChunk() override {
    storage.emplace_back(new uint8_t[PPROFD_CHUNK_BYTES]());
    chunks.emplace_back(storage.back().get(), PPROFD_CHUNK_BYTES);
    return chunks.back();
  }
  std::span<pprofd_unwind_rule> Rules() override { return rules; }
  Status PutModule(const pprofd_file_key& key,
                   const pprofd_module& module) override {
    modules[ToTuple(key)] = module;
    return Status::Ok();
  }
  Status RemoveModule(const pprofd_file_key& key) override {
    if (modules.erase(ToTuple(key)) == 0) {
      return Status(StatusCode::kNotFound, "no such module");
    }
    return Status::Ok();
  }
  Result<uint32_t> LastUsedEpoch(const pprofd_file_key& key) override {
    auto found = modules.find(ToTuple(key));
    if (found == modules.end()) {
      return Status(StatusCode::kNotFound, "no such module");
    }
    return found->second.last_used_epoch;
  }
  Status PutVdso(const pprofd_module& module) override {
    vdso = module;
    return Status::Ok();
  }
  void SetEpoch(uint32_t next) override { epoch = next; }

  // What the kernel half does at a sample.
  void Use(const pprofd_file_key& key) {
    modules[ToTuple(key)].last_used_epoch = epoch;
  }

  std::vector<std::unique_ptr<uint8_t[]>> storage;
  std::vector<std::span<uint8_t>> chunks;
  std::vector<pprofd_unwind_rule> rules =
      std::vector<pprofd_unwind_rule>(PPROFD_MAX_RULES);
  std::map<Key, pprofd_module> modules;
  pprofd_module vdso{};
  uint32_t epoch = 0;
};

}  // namespace pprofd

#endif  // DAEMON_UNWIND_FAKE_MAP_WRITER_H_
