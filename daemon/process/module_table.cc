#include "daemon/process/module_table.h"

#include <sys/resource.h>

#include <algorithm>
#include <memory>
#include <string>
#include <utility>

#include "daemon/base/telemetry.h"

namespace pprofd {
namespace {

// A daemon without descriptors for sockets is of no use.
size_t ClampToDescriptorLimit(size_t wanted) {
  rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0 ||
      limit.rlim_cur == RLIM_INFINITY) {
    return wanted;
  }
  return std::min<size_t>(wanted, limit.rlim_cur / 2);
}

ModuleRef LostModule(ModuleId id) {
  auto module = std::make_shared<Module>();
  module->id = id;
  module->unavailable_reason = "the event that named the file was lost";
  return module;
}

ModuleRef WithoutFile(const Module& module, std::string reason) {
  auto copy = std::make_shared<Module>();
  copy->id = module.id;
  copy->key = module.key;
  copy->path = module.path;
  copy->root = module.root;
  copy->build_id = module.build_id;
  copy->segments = module.segments;
  copy->unavailable_reason = std::move(reason);
  return copy;
}

// The device of a maps line means nothing where a layered file system shows its
// own, which is then one without a major number.
bool MayBeSameDevice(const ProcMapping& mapping, const pprofd_file_key& key) {
  return mapping.device_major == 0 ||
         (mapping.device_major == key.device >> 20 &&
          mapping.device_minor == (key.device & 0xfffff));
}

}  // namespace

ModuleTable::ModuleTable(const Options& options)
    : max_modules_(std::max<size_t>(options.max_modules, 1)),
      max_open_files_(ClampToDescriptorLimit(options.max_open_files)),
      grace_ns_(options.grace_ns) {}

ModuleRef ModuleTable::Add(Module module) {
  auto added = std::make_shared<const Module>(std::move(module));
  std::lock_guard lock(mutex_);
  auto [it, is_new] = entries_.try_emplace(added->id);
  if (!is_new) {
    Unindex(*it->second.module);
    open_files_ -= it->second.module->file ? 1 : 0;
  }
  it->second = Entry{added, ++use_clock_, false, {}};
  open_files_ += added->file ? 1 : 0;
  Index(*added);
  if (entries_.size() > max_modules_) EvictOne();
  if (open_files_ > max_open_files_) CloseOneFile();
  return added;
}

ModuleRef ModuleTable::Find(ModuleId id) {
  if (id == ModuleId::kNone) return nullptr;
  std::lock_guard lock(mutex_);
  auto it = entries_.find(id);
  if (it == entries_.end()) return LostModule(id);
  it->second.last_use = ++use_clock_;
  return it->second.module;
}

bool ModuleTable::Contains(ModuleId id) const {
  std::lock_guard lock(mutex_);
  return entries_.contains(id);
}

ModuleId ModuleTable::FindByMapping(const ProcMapping& mapping) {
  if (mapping.is_vdso()) return ModuleId::kVdso;
  if (mapping.inode == 0) return ModuleId::kNone;
  std::lock_guard lock(mutex_);
  auto it = by_inode_.find(mapping.inode);
  if (it == by_inode_.end()) return ModuleId::kNone;
  const Module& module = *entries_.at(it->second).module;
  bool is_same =
      module.path == mapping.path && MayBeSameDevice(mapping, module.key);
  return is_same ? module.id : ModuleId::kNone;
}

std::vector<ModuleRef> ModuleTable::Retain(
    const absl::flat_hash_set<ModuleId>& in_use, BootTime now) {
  std::lock_guard lock(mutex_);
  std::vector<ModuleId> to_drop;
  for (auto& [id, entry] : entries_) {
    if (id == ModuleId::kVdso || in_use.contains(id)) {
      entry.is_unused = false;
    } else if (!entry.is_unused) {
      entry.is_unused = true;
      entry.unused_since = now;
    } else if (now.ns - entry.unused_since.ns >= grace_ns_) {
      to_drop.push_back(id);
    }
  }
  for (ModuleId id : to_drop) Drop(entries_.find(id));
  return std::exchange(dropped_, {});
}

void ModuleTable::Drop(Entries::iterator it) {
  const Module& module = *it->second.module;
  Unindex(module);
  open_files_ -= module.file ? 1 : 0;
  // Who forgets a module needs its key, not its file.
  dropped_.push_back(WithoutFile(module, "no longer needed"));
  if (dropped_.size() > max_modules_) dropped_.erase(dropped_.begin());
  entries_.erase(it);
}

void ModuleTable::EvictOne() {
  auto victim = entries_.end();
  for (auto it = entries_.begin(); it != entries_.end(); ++it) {
    if (it->first == ModuleId::kVdso) continue;
    if (victim == entries_.end() ||
        it->second.last_use < victim->second.last_use) {
      victim = it;
    }
  }
  if (victim == entries_.end()) return;
  Drop(victim);
  Count(Counter::modules_evicted);
}

void ModuleTable::CloseOneFile() {
  Entry* victim = nullptr;
  for (auto& [id, entry] : entries_) {
    if (id == ModuleId::kVdso || !entry.module->file) continue;
    if (victim == nullptr || entry.last_use < victim->last_use) {
      victim = &entry;
    }
  }
  if (victim == nullptr) return;
  victim->module = WithoutFile(
      *victim->module, "closed: more than " + std::to_string(max_open_files_) +
                           " executed files are open");
  --open_files_;
  Count(Counter::module_files_closed);
}

void ModuleTable::Index(const Module& module) {
  if (module.key.inode != 0) by_inode_[module.key.inode] = module.id;
}

void ModuleTable::Unindex(const Module& module) {
  auto it = by_inode_.find(module.key.inode);
  if (it != by_inode_.end() && it->second == module.id) by_inode_.erase(it);
}

size_t ModuleTable::size() const {
  std::lock_guard lock(mutex_);
  return entries_.size();
}

size_t ModuleTable::open_files() const {
  std::lock_guard lock(mutex_);
  return open_files_;
}

}  // namespace pprofd
