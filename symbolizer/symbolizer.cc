#include "symbolizer/symbolizer.h"

#include <sys/stat.h>

#include <algorithm>
#include <atomic>
#include <mutex>
#include <optional>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "daemon/base/telemetry.h"
#include "symbolizer/jit_dump.h"
#include "symbolizer/jit_symbols.h"
#include "symbolizer/module_source.h"
#include "symbolizer/perf_map.h"

namespace pprofd {
namespace {

constexpr size_t kSlotBytes = 1024;  // of an empty one, key included
// Enough for the C and C++ libraries' debug files of Debian.
constexpr uint64_t kMaxWarmBytes = 24 << 20;

// What tells that a perf map has changed.
struct FileVersion {
  int64_t size = -1;
  int64_t mtime_ns = 0;
  uint64_t inode = 0;
  bool operator==(const FileVersion&) const = default;
};

FileVersion VersionOf(int fd) {
  struct stat info;
  if (fstat(fd, &info) != 0) return {};
  return {
      .size = info.st_size,
      .mtime_ns = info.st_mtim.tv_sec * 1'000'000'000 + info.st_mtim.tv_nsec,
      .inode = info.st_ino};
}

// One module, perf map or jitdump.
struct Slot {
  std::mutex mutex;
  // Guarded by `mutex`.
  std::optional<ModuleSource> module;
  PerfMap perf_map;
  FileVersion perf_map_version;
  std::vector<std::string> perf_map_attempts;
  std::optional<JitDump> jit_dump;

  std::atomic<size_t> bytes{kSlotBytes};
  std::atomic<uint64_t> warm_bytes{0};  // part of `bytes`
  std::atomic<bool> has_unsaved{false};
  uint64_t last_used = 0;  // guarded by the table's mutex

  // To be called with `mutex` held, when `module` has changed.
  void Measure() {
    warm_bytes = module->warm_bytes();
    has_unsaved = module->has_unsaved();
    bytes = kSlotBytes + module->bytes();
  }
};
using SlotRef = std::shared_ptr<Slot>;

}  // namespace

class Symbolizer::Impl {
 public:
  explicit Impl(Options options) : options_(std::move(options)) {}

  const Options& options() const { return options_; }

  SlotRef Acquire(const std::string& key) {
    std::lock_guard lock(mutex_);
    SlotRef& slot = slots_[key];
    if (slot == nullptr) slot = std::make_shared<Slot>();
    slot->last_used = ++uses_;
    return slot;
  }

  SlotRef Peek(const std::string& key) {
    std::lock_guard lock(mutex_);
    auto it = slots_.find(key);
    return it == slots_.end() ? nullptr : it->second;
  }

  void Forget(const std::string& key) {
    std::lock_guard lock(mutex_);
    auto it = slots_.find(key);
    if (it == slots_.end()) return;
    std::erase(warm_, it->second);
    slots_.erase(it);
  }

  // Evicts, least recently used first, until the rest fits.
  void Trim() {
    std::vector<SlotRef> unsaved;
    {
      std::lock_guard lock(mutex_);
      unsaved = Evict();
    }
    for (const SlotRef& slot : unsaved) {
      std::unique_lock lock(slot->mutex, std::try_to_lock);
      if (!lock) continue;
      slot->module->Shrink(0);
      slot->module->Cool();
      slot->Measure();
    }
    std::lock_guard lock(mutex_);
    leaving_.insert(leaving_.end(), unsaved.begin(), unsaved.end());
    while (BytesLeaving() > options_.max_cache_bytes / 4) {
      leaving_.erase(leaving_.begin());
    }
  }

  void Save(bool wants_all, std::chrono::steady_clock::time_point until) {
    std::vector<SlotRef> slots;
    size_t leaving = 0;
    {
      std::lock_guard lock(mutex_);
      slots = leaving_;
      leaving = slots.size();
      for (const auto& [key, slot] : slots_) {
        if (slot->has_unsaved) slots.push_back(slot);
      }
    }
    for (size_t i = 0; i < slots.size(); ++i) {
      auto content = ContentToSave(*slots[i], wants_all || i < leaving);
      if (!content) continue;
      Status status = options_.store->Save(content->key, content->bytes);
      if (!status.ok()) spdlog::debug("symbol cache: {}", status.message());
      if (std::chrono::steady_clock::now() >= until) break;
    }
    std::lock_guard lock(mutex_);
    std::erase_if(leaving_,
                  [](const SlotRef& slot) { return !slot->has_unsaved; });
  }

  bool has_unsaved() const {
    std::lock_guard lock(mutex_);
    return !leaving_.empty() ||
           std::ranges::any_of(slots_, [](const auto& entry) {
             return entry.second->has_unsaved.load();
           });
  }

  // Modules keep their decompressed debug sections, those used last, up to
  // kMaxWarmBytes in all.
  void KeepWarm(const std::string& key, const SlotRef& slot) {
    std::vector<SlotRef> to_cool;
    {
      std::lock_guard lock(mutex_);
      auto known = slots_.find(key);
      if (known == slots_.end() || known->second != slot) return;  // evicted
      std::erase(warm_, slot);
      warm_.insert(warm_.begin(), slot);
      uint64_t total = 0;
      std::erase_if(warm_, [&](const SlotRef& warm) {
        bool fits = total + warm->warm_bytes <= kMaxWarmBytes;
        if (fits) total += warm->warm_bytes;
        if (!fits) to_cool.push_back(warm);
        return !fits;
      });
    }
    for (const SlotRef& cold : to_cool) {
      std::unique_lock lock(cold->mutex, std::try_to_lock);
      if (!lock) continue;  // in use: comes back here when that is over
      cold->module->Cool();
      cold->Measure();
    }
  }

  size_t cache_bytes() const {
    std::lock_guard lock(mutex_);
    size_t total = 0;
    for (const auto& [key, slot] : slots_) total += slot->bytes;
    return total + BytesLeaving();
  }

 private:
  static std::optional<ModuleCache::Content> ContentToSave(Slot& slot,
                                                           bool is_due) {
    std::unique_lock lock(slot.mutex, std::try_to_lock);
    if (!lock) return std::nullopt;
    if (!is_due && !slot.module->IsSaveDue(std::chrono::steady_clock::now())) {
      return std::nullopt;
    }
    auto content = slot.module->MakeCacheContent();
    slot.Measure();
    return content;
  }

  // Those with something to save. REQUIRES: mutex_ is held.
  std::vector<SlotRef> Evict() {
    std::vector<SlotRef> unsaved;
    size_t total = 0;
    for (const auto& [key, slot] : slots_) total += slot->bytes;
    if (total <= options_.max_cache_bytes) return unsaved;
    std::vector<std::pair<uint64_t, std::string>> by_age;
    for (const auto& [key, slot] : slots_) {
      by_age.emplace_back(slot->last_used, key);
    }
    std::sort(by_age.begin(), by_age.end());
    for (const auto& [age, key] : by_age) {
      if (total <= options_.max_cache_bytes) break;
      auto it = slots_.find(key);
      total -= it->second->bytes;
      std::erase(warm_, it->second);
      if (it->second->has_unsaved) unsaved.push_back(it->second);
      slots_.erase(it);
    }
    return unsaved;
  }

  // REQUIRES: mutex_ is held.
  size_t BytesLeaving() const {
    size_t total = 0;
    for (const SlotRef& slot : leaving_) total += slot->bytes;
    return total;
  }

  const Options options_;

  mutable std::mutex mutex_;  // guards the table
  absl::flat_hash_map<std::string, SlotRef> slots_;
  std::vector<SlotRef> warm_;     // last used first
  std::vector<SlotRef> leaving_;  // evicted and not saved yet, oldest first
  uint64_t uses_ = 0;
};

Symbolizer::Symbolizer(Options options)
    : impl_(std::make_unique<Impl>(std::move(options))) {}

Symbolizer::~Symbolizer() = default;

void Symbolizer::SaveSome(std::chrono::steady_clock::time_point until) {
  impl_->Save(false, until);
}

void Symbolizer::SaveAll() {
  impl_->Save(true, std::chrono::steady_clock::time_point::max());
}

bool Symbolizer::has_unsaved() const { return impl_->has_unsaved(); }

ModuleSymbols Symbolizer::SymbolizeModule(
    int file, const std::string& cache_key, const std::string& path,
    const std::string& root, std::span<const ModuleAddr> addresses,
    DemangleStyle style, std::chrono::steady_clock::time_point deadline) {
  SlotRef slot = impl_->Acquire(cache_key);
  ModuleSymbols result;
  {
    std::lock_guard lock(slot->mutex);
    if (!slot->module) {
      slot->module.emplace(
          DebugFileSearch{.module_path = path,
                          .root = root,
                          .debug_roots = impl_->options().debug_roots,
                          .opener = impl_->options().opener},
          impl_->options().store);
    }
    result = slot->module->Symbolize(file, addresses, style, deadline);
    result.source = slot;
    slot->module->Shrink(impl_->options().max_cache_bytes / 2);
    slot->Measure();
  }
  if (slot->warm_bytes > 0) impl_->KeepWarm(cache_key, slot);
  impl_->Trim();
  return result;
}

ModuleSymbols Symbolizer::SymbolizePerfMap(int map_file,
                                           const std::string& cache_key,
                                           std::span<const uint64_t> addresses,
                                           DemangleStyle style) {
  SlotRef slot = impl_->Acquire(cache_key);
  ModuleSymbols result;
  {
    std::lock_guard lock(slot->mutex);
    FileVersion version = VersionOf(map_file);
    if (version != slot->perf_map_version) {
      slot->perf_map_version = version;
      auto map = PerfMap::Read(map_file);
      slot->perf_map_attempts.assign(
          1, map.ok() ? "perf map: " + std::to_string(map->symbol_count()) +
                            " functions"
                      : map.status().message());
      slot->perf_map = map.ok() ? std::move(*map) : PerfMap();
    }
    for (uint64_t address : addresses) {
      SymbolChain chain;
      if (auto name = slot->perf_map.Find(address)) {
        chain.push_back(JitSymbolLine(*name, "", 0, style));
        result.has_filenames |= !chain[0].file.empty();
      }
      result.AddChain(chain);
    }
    slot->bytes = kSlotBytes + slot->perf_map.bytes();
  }
  impl_->Trim();
  return result;
}

ModuleSymbols Symbolizer::SymbolizeJitDump(int file,
                                           const std::string& cache_key,
                                           std::span<const uint64_t> addresses,
                                           DemangleStyle style) {
  SlotRef slot = impl_->Acquire(cache_key);
  ModuleSymbols result;
  {
    std::lock_guard lock(slot->mutex);
    if (!slot->jit_dump) slot->jit_dump.emplace();
    Status status = slot->jit_dump->Update(file);
    if (!status.ok()) result.problem = status.message();
    for (uint64_t address : addresses) {
      SymbolChain chain;
      if (auto place = slot->jit_dump->Find(address)) {
        chain.push_back(
            JitSymbolLine(place->name, place->file, place->line, style));
        result.has_filenames |= !chain[0].file.empty();
        result.has_line_numbers |= place->line > 0;
      }
      result.AddChain(chain);
    }
    slot->bytes = kSlotBytes + slot->jit_dump->bytes();
  }
  impl_->Trim();
  return result;
}

void Symbolizer::Forget(const std::string& cache_key) {
  impl_->Forget(cache_key);
}

SourceReport Symbolizer::Report(const std::string& cache_key) {
  SlotRef slot = impl_->Peek(cache_key);
  if (slot == nullptr) return {};
  std::lock_guard lock(slot->mutex);
  if (slot->module) return slot->module->report();
  SourceReport report;
  report.attempts =
      slot->jit_dump ? slot->jit_dump->Report() : slot->perf_map_attempts;
  return report;
}

SourceReport Symbolizer::Examine(int file, const std::string& path,
                                 const std::string& root) const {
  ModuleSource source(
      DebugFileSearch{.module_path = path,
                      .root = root,
                      .debug_roots = impl_->options().debug_roots,
                      .opener = impl_->options().opener});
  source.Examine(file);
  return source.report();
}

size_t Symbolizer::cache_bytes() const { return impl_->cache_bytes(); }

}  // namespace pprofd
