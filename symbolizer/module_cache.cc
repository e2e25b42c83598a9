#include "symbolizer/module_cache.h"

#include <sys/mman.h>

#include <algorithm>
#include <utility>

#include "symbolizer/elf_file.h"

namespace pprofd {
namespace {

// Another version may find better names.
std::string Reader() {
  return PPROFD_VERSION " " + std::to_string(kCacheVersion);
}

// A save rewrites the file, so a larger one waits for more.
constexpr size_t kManyUnsaved = 1000;
constexpr size_t kManyUnsavedDivisor = 4;
constexpr auto kLongUnsaved = std::chrono::seconds(60);
constexpr auto kLongUnsavedPerAddress = std::chrono::milliseconds(1);

std::array<FileIdentity, 3> IdentitiesOf(const ModuleCache::Files& files) {
  return {IdentityOf(files[0]), IdentityOf(files[1]), IdentityOf(files[2])};
}

struct MappedCache {
  MemoryMap map;
  CacheFile file;
};

Result<MappedCache> MapCache(int fd) {
  ASSIGN_OR_RETURN(MemoryMap map, MapFile(fd));
  ASSIGN_OR_RETURN(CacheFile file, CacheFile::Open(Bytes(map)));
  // The checksum made all of it resident; look-ups need little.
  madvise(map.get().data, map.get().size, MADV_DONTNEED);
  return MappedCache{.map = std::move(map), .file = file};
}

}  // namespace

void ModuleCache::BeginBatch(const Files& files, Time deadline) {
  if (!is_on() || !key_.empty()) return;
  identities_ = IdentitiesOf(files);
  auto key = ContentKey(files, Reader(), deadline);
  if (key.ok()) {
    key_ = std::move(*key);
    Open();
  } else if (key.status().code() != StatusCode::kTimeout) {
    TurnOff(key.status().message());
  }
}

void ModuleCache::Open() {
  auto fd = store_->Load(key_, SymbolStore::Purpose::kLookUp);
  if (!fd.ok()) return;
  auto mapped = MapCache(fd->get());
  if (!mapped.ok()) {
    Refuse();
    return;
  }
  map_ = std::move(mapped->map);
  file_ = mapped->file;
  stored_count_ = file_->address_count();
}

// What is stored makes no sense; it will be written anew.
void ModuleCache::Refuse() {
  store_->Discard(key_);
  file_.reset();
  map_.Reset();
  functions_.clear();
  stored_count_ = 0;
}

bool ModuleCache::Find(ModuleAddr address, ChainTable& chains) {
  if (!file_) return false;
  auto found = file_->Find(address.value);
  if (found.ok() && !*found) return false;
  std::vector<ChainTable::Call> calls;
  bool is_sound = found.ok();
  for (size_t i = 0; is_sound && i < (*found)->size(); ++i) {
    const CacheFile::Call& call = (**found)[i];
    auto function = CopyFunction(call.function, chains.pool());
    is_sound = function.has_value();
    if (is_sound) {
      calls.push_back(
          {.function = *function, .line = call.line, .column = call.column});
    }
  }
  if (!is_sound) {
    Refuse();
    return false;
  }
  chains.Add(address, calls);
  ++answered_;
  return true;
}

std::optional<uint32_t> ModuleCache::CopyFunction(uint32_t number,
                                                  SymbolPool& pool) {
  if (auto it = functions_.find(number); it != functions_.end()) {
    return it->second;
  }
  auto read = file_->ReadFunction(number);
  if (!read.ok()) return std::nullopt;
  uint32_t copy =
      pool.AddFunction({.name = pool.strings().Add(read->name),
                        .linkage_name = pool.strings().Add(read->linkage_name),
                        .file = pool.strings().Add(read->file),
                        .start_line = read->start_line});
  functions_.emplace(number, copy);
  return copy;
}

void ModuleCache::EndBatch(const Files& files) {
  std::vector<uint64_t> batch = std::exchange(batch_, {});
  if (!is_on() || key_.empty() || batch.empty()) return;
  if (IdentitiesOf(files) != identities_) {
    TurnOff("the files changed");
    return;
  }
  if (unsaved_.empty()) unsaved_since_ = std::chrono::steady_clock::now();
  unsaved_.insert(unsaved_.end(), batch.begin(), batch.end());
}

void ModuleCache::TurnOff(std::string why) {
  if (!is_on()) return;
  store_ = nullptr;
  why_off_ = std::move(why);
  batch_.clear();
  unsaved_.clear();
  functions_.clear();
  file_.reset();
  map_.Reset();
}

bool ModuleCache::IsSaveDue(Time now) const {
  if (unsaved_.empty()) return false;
  return unsaved_.size() >=
             std::max(kManyUnsaved, stored_count_ / kManyUnsavedDivisor) ||
         now - unsaved_since_ >=
             kLongUnsaved + stored_count_ * kLongUnsavedPerAddress;
}

std::optional<ModuleCache::Content> ModuleCache::MakeContent(
    const ChainTable& chains) {
  if (!is_on() || unsaved_.empty()) return std::nullopt;
  CacheWriter writer;
  AddUnsaved(chains, writer);
  unsaved_.clear();
  // Another copy of the module may have saved meanwhile.
  if (auto fd = store_->Load(key_, SymbolStore::Purpose::kMerge); fd.ok()) {
    auto stored = MapCache(fd->get());
    if (stored.ok()) AddStored(stored->file, writer);
  }
  stored_count_ = writer.address_count();
  return Content{.key = key_, .bytes = writer.Finish()};
}

void ModuleCache::AddUnsaved(const ChainTable& chains,
                             CacheWriter& writer) const {
  absl::flat_hash_map<uint32_t, std::optional<uint32_t>> numbers;
  const StringPool& strings = chains.pool().strings();
  std::vector<CacheFile::Call> calls;
  for (size_t i = unsaved_.size(); i-- > 0;) {
    auto known = chains.Find({unsaved_[i]});
    if (!known) continue;
    calls.clear();
    for (const ChainTable::Call& call : *known) {
      auto [it, is_new] = numbers.try_emplace(call.function);
      if (is_new) {
        const PooledFunction& function = chains.pool().function(call.function);
        it->second = writer.AddFunction(
            strings.Get(function.name), strings.Get(function.linkage_name),
            strings.Get(function.file), function.start_line);
      }
      if (!it->second) break;
      calls.push_back(
          {.function = *it->second, .line = call.line, .column = call.column});
    }
    if (calls.size() == known->size() && !writer.Add(unsaved_[i], calls)) break;
  }
}

// As many as there is room for.
void ModuleCache::AddStored(const CacheFile& file, CacheWriter& writer) const {
  absl::flat_hash_map<uint32_t, std::optional<uint32_t>> numbers;
  std::vector<CacheFile::Call> copies;
  Status status =
      file.Visit([&](uint64_t address, std::span<const CacheFile::Call> calls) {
        copies.assign(calls.begin(), calls.end());
        for (CacheFile::Call& call : copies) {
          auto [it, is_new] = numbers.try_emplace(call.function);
          if (is_new) {
            auto read = file.ReadFunction(call.function);
            if (!read.ok()) return false;
            it->second = writer.AddFunction(read->name, read->linkage_name,
                                            read->file, read->start_line);
          }
          if (!it->second) return false;
          call.function = *it->second;
        }
        return writer.Add(address, copies);
      });
  if (!status.ok()) store_->Discard(key_);
}

std::string ModuleCache::attempt() const {
  if (!why_off_.empty()) return "symbol cache: off: " + why_off_;
  if (!file_) return "";
  return "symbol cache: " + std::to_string(answered_) + " addresses from disk";
}

size_t ModuleCache::bytes() const {
  return functions_.capacity() * 9 +
         (batch_.capacity() + unsaved_.capacity()) * sizeof(uint64_t);
}

}  // namespace pprofd
