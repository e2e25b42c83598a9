#include "daemon/unwind/table_loader.h"

#include <absl/hash/hash.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "daemon/base/telemetry.h"
#include "daemon/unwind/table_encoder.h"

namespace pprofd {
namespace {

// Eviction starts above the first and goes down to the second.
constexpr size_t HighWater(size_t max) { return max / 8 * 7; }
constexpr size_t LowWater(size_t max) { return max / 4 * 3; }

// Of a common table; padding of blocks included.
constexpr size_t kMostBytesPerRow = 6;

constexpr uint16_t kUnsupportedNumber = 1;

std::string Cut(const std::string& reason) {
  return reason.substr(0, TableLoader::kMaxReasonBytes);
}

void LogNotRemoved(const Status& status) {
  LOG_EVERY(std::chrono::minutes(1),
            spdlog::warn("removing an unwind table: {}", status.ToString()));
}

}  // namespace

size_t TableLoader::KeyHash::operator()(const pprofd_file_key& key) const {
  return absl::HashOf(key.inode, key.ctime_ns, key.device, key.generation);
}

bool TableLoader::KeyEqual::operator()(const pprofd_file_key& a,
                                       const pprofd_file_key& b) const {
  return a.inode == b.inode && a.ctime_ns == b.ctime_ns &&
         a.device == b.device && a.generation == b.generation;
}

size_t TableLoader::BuildIdHash::operator()(const BuildId& id) const {
  return absl::HashOf(id.bytes());
}

TableLoader::TableLoader(MapWriter* writer, Options options)
    : writer_(writer), space_(writer, options.max_bytes) {
  GlobalRule(kRuleNone);
  GlobalRule(kRuleUnsupported);
  writer_->SetEpoch(epoch_);
}

Status TableLoader::Load(const pprofd_file_key& key, ModuleId number,
                         const BuildId& build_id, const UnwindTable& table) {
  if (Share(key, number, build_id)) return Status::Ok();
  Result<Table> written = Write(table);
  if (!written.ok()) {
    bool fits_later = written.status().code() == StatusCode::kExhausted &&
                      FitsBesideOthers(table);
    if (fits_later) EvictIdleUntil(LowWater(space_.max_bytes()));
    RETURN_IF_ERROR(
        PutRefused(key, number, fits_later, written.status().message()));
    return written.status();
  }
  tables_.push_front(std::move(written).value());
  auto added = tables_.begin();
  added->build_id = build_id;
  row_count_ += added->row_count;
  if (Status status = Publish(key, number, added); !status.ok()) {
    // No sample has seen it, but waiting costs nothing.
    Bury(added);
    return status;
  }
  if (!build_id.empty()) by_build_id_.insert_or_assign(build_id, added);
  Count(Counter::unwind_tables_loaded);
  if (used_bytes() - grave_bytes_ > HighWater(space_.max_bytes())) {
    EvictIdleUntil(LowWater(space_.max_bytes()));
  }
  UpdateGauges();
  return Status::Ok();
}

bool TableLoader::Share(const pprofd_file_key& key, ModuleId number,
                        const BuildId& build_id) {
  if (build_id.empty()) return false;
  auto found = by_build_id_.find(build_id);
  if (found == by_build_id_.end()) return false;
  if (!Publish(key, number, found->second).ok()) return false;
  Count(Counter::unwind_tables_shared);
  return true;
}

Status TableLoader::Refuse(const pprofd_file_key& key, ModuleId number,
                           const std::string& reason) {
  auto known = files_.find(key);
  if (known != files_.end() && !known->second.table) return Status::Ok();
  return PutRefused(key, number, false, reason);
}

Status TableLoader::Forget(const pprofd_file_key& key, ModuleId number) {
  auto known = files_.find(key);
  if (known != files_.end() && known->second.number != number) {
    return Status::Ok();
  }
  Detach(key);
  UpdateGauges();
  return writer_->RemoveModule(key);
}

Status TableLoader::LoadVdso(const UnwindTable& table) {
  ASSIGN_OR_RETURN(Table written, Write(table));
  written.header.number = PPROFD_MODULE_VDSO;
  if (Status status = writer_->PutVdso(written.header); !status.ok()) {
    for (Extent extent : written.extents) space_.Free(extent);
    return status;
  }
  BuryExtents(std::exchange(vdso_extents_, std::move(written.extents)));
  vdso_.kind = FileState::Kind::kReady;
  vdso_.row_count = written.row_count;
  vdso_.stats = written.stats;
  UpdateGauges();
  return Status::Ok();
}

void TableLoader::AdvanceEpoch() {
  writer_->SetEpoch(++epoch_);
  if (starved_count_ > 0) EvictIdleUntil(LowWater(space_.max_bytes()));
  if (files_.size() > HighWater(PPROFD_MAX_MODULES)) ForgetIdleFiles();
  UpdateGauges();
}

void TableLoader::Collect(BootTime now) {
  std::erase_if(graves_, [&](Grave& grave) {
    if (!grave.since) grave.since = now;
    if (now.ns - grave.since->ns < kGrace.count()) return false;
    for (Extent extent : grave.extents) {
      grave_bytes_ -= extent.bytes;
      space_.Free(extent);
    }
    return true;
  });
  if (starved_count_ > 0 && used_bytes() <= LowWater(space_.max_bytes())) {
    ForgetStarvedFiles();
  }
  UpdateGauges();
}

Result<TableLoader::Table> TableLoader::Write(const UnwindTable& source) {
  std::vector<uint16_t> numbers;
  numbers.reserve(source.rules.size());
  for (const UnwindRule& rule : source.rules) {
    numbers.push_back(GlobalRule(rule));
  }
  Table table;
  table.header.flags = PPROFD_MODULE_READY;
  table.header.entry_gap_start = source.entry_gap_start;
  table.header.entry_gap_limit = source.entry_gap_limit;
  table.row_count = source.rows.size();
  table.stats = source.stats;
  if (Status status = WritePieces(source, numbers, &table); !status.ok()) {
    for (Extent extent : table.extents) space_.Free(extent);
    return status;
  }
  return table;
}

Status TableLoader::WritePieces(const UnwindTable& source,
                                const std::vector<uint16_t>& numbers,
                                Table* table) {
  TableEncoder encoder(source, numbers);
  if (encoder.page_count() == 0) return Status::Ok();
  if (encoder.page_count() > PPROFD_MAX_DIRECTORY_PAGES) {
    return Status(StatusCode::kUnsupported, "unwind rows span more than 1 GiB");
  }
  std::vector<uint32_t> directory(encoder.page_count());
  for (uint32_t& reference : directory) {
    std::span<const uint8_t> piece = encoder.EncodePage();
    if (piece.empty()) continue;
    ASSIGN_OR_RETURN(Extent extent, Store(piece, table));
    reference = extent.reference;
  }
  auto bytes = reinterpret_cast<const uint8_t*>(directory.data());
  ASSIGN_OR_RETURN(
      Extent extent,
      Store({bytes, directory.size() * sizeof(directory[0])}, table));
  table->header.directory = extent.reference;
  table->header.first_page = encoder.first_page();
  table->header.page_count = encoder.page_count();
  return Status::Ok();
}

Result<Extent> TableLoader::Store(std::span<const uint8_t> bytes,
                                  Table* table) {
  ASSIGN_OR_RETURN(Extent extent, space_.Allocate(bytes.size()));
  table->extents.push_back(extent);
  std::memcpy(space_.Bytes(extent).data(), bytes.data(), bytes.size());
  return extent;
}

uint16_t TableLoader::GlobalRule(const UnwindRule& rule) {
  auto found = rule_numbers_.find(RuleBits(rule));
  if (found != rule_numbers_.end()) return found->second;
  std::span<UnwindRule> rules = writer_->Rules();
  size_t number = rule_numbers_.size();
  if (number >= std::min<size_t>(rules.size(), PPROFD_MAX_RULES)) {
    return kUnsupportedNumber;
  }
  rules[number] = rule;
  rule_numbers_.emplace(RuleBits(rule), static_cast<uint16_t>(number));
  return static_cast<uint16_t>(number);
}

Status TableLoader::Publish(const pprofd_file_key& key, ModuleId number,
                            TableList::iterator table) {
  pprofd_module module = table->header;
  module.number = static_cast<uint32_t>(number);
  module.last_used_epoch = epoch_;
  RETURN_IF_ERROR(writer_->PutModule(key, module));
  auto known = files_.find(key);
  if (known != files_.end() && known->second.table == table) {
    known->second.number = number;
    return Status::Ok();
  }
  Detach(key);
  files_.insert_or_assign(
      key, File{.number = number, .table = table, .refusal = ""});
  table->keys.push_back(key);
  return Status::Ok();
}

Status TableLoader::PutRefused(const pprofd_file_key& key, ModuleId number,
                               bool is_starved, const std::string& reason) {
  pprofd_module module{};
  module.number = static_cast<uint32_t>(number);
  module.flags = PPROFD_MODULE_READY | PPROFD_MODULE_REFUSED;
  module.last_used_epoch = epoch_;
  RETURN_IF_ERROR(writer_->PutModule(key, module));
  Detach(key);
  files_.insert_or_assign(key, File{.number = number,
                                    .table = std::nullopt,
                                    .is_starved = is_starved,
                                    .refusal = Cut(reason)});
  if (is_starved) ++starved_count_;
  Count(Counter::unwind_tables_refused);
  UpdateGauges();
  return Status::Ok();
}

void TableLoader::CollectModules(absl::flat_hash_set<ModuleId>* modules) const {
  for (const auto& [key, file] : files_) modules->insert(file.number);
}

TableLoader::FileState TableLoader::Describe(const pprofd_file_key& key) const {
  FileState state;
  auto known = files_.find(key);
  if (known == files_.end()) return state;
  const File& file = known->second;
  if (!file.table) {
    state.kind = FileState::Kind::kRefused;
    state.refusal = file.refusal;
    return state;
  }
  const Table& table = **file.table;
  state.kind = FileState::Kind::kReady;
  state.row_count = table.row_count;
  state.stats = table.stats;
  for (const pprofd_file_key& other : table.keys) {
    if (KeyEqual()(other, key)) continue;
    auto sharer = files_.find(other);
    if (sharer != files_.end()) state.sharers.push_back(sharer->second.number);
  }
  return state;
}

TableLoader::FileState TableLoader::DescribeVdso() const { return vdso_; }

// Whether eviction down to the low-water mark is sure to make room.
bool TableLoader::FitsBesideOthers(const UnwindTable& table) const {
  if (table.rows.empty()) return true;
  uint64_t span =
      table.rows.back().file_offset - table.rows.front().file_offset;
  size_t most = table.rows.size() * kMostBytesPerRow +
                (span >> PPROFD_PAGE_SHIFT) * TableEncoder::kHeaderBytes;
  return most <= space_.max_bytes() - LowWater(space_.max_bytes());
}

// Takes a file off its table, which goes when that was its last.
void TableLoader::Detach(const pprofd_file_key& key) {
  auto found = files_.find(key);
  if (found == files_.end()) return;
  File file = found->second;
  files_.erase(found);
  if (file.is_starved) --starved_count_;
  if (!file.table) return;
  std::erase_if((*file.table)->keys, [&](const pprofd_file_key& other) {
    return KeyEqual()(key, other);
  });
  if ((*file.table)->keys.empty()) Bury(*file.table);
}

void TableLoader::Bury(TableList::iterator table) {
  auto by_id = by_build_id_.find(table->build_id);
  if (by_id != by_build_id_.end() && by_id->second == table) {
    by_build_id_.erase(by_id);
  }
  row_count_ -= table->row_count;
  BuryExtents(std::move(table->extents));
  tables_.erase(table);
}

void TableLoader::BuryExtents(std::vector<Extent> extents) {
  if (extents.empty()) return;
  for (Extent extent : extents) grave_bytes_ += extent.bytes;
  graves_.push_back({.extents = std::move(extents), .since = std::nullopt});
}

void TableLoader::Evict(TableList::iterator table) {
  for (const pprofd_file_key& key : table->keys) {
    files_.erase(key);
    Status status = writer_->RemoveModule(key);
    if (!status.ok()) LogNotRemoved(status);
  }
  Bury(table);
  Count(Counter::unwind_tables_evicted);
}

uint32_t TableLoader::LastUsed(const Table& table) {
  uint32_t last = 0;
  for (const pprofd_file_key& key : table.keys) {
    Result<uint32_t> epoch = writer_->LastUsedEpoch(key);
    if (epoch.ok()) last = std::max(last, *epoch);
  }
  return last;
}

void TableLoader::EvictIdleUntil(size_t target_bytes) {
  std::vector<std::pair<uint32_t, TableList::iterator>> idle;
  for (auto table = tables_.begin(); table != tables_.end(); ++table) {
    uint32_t last = LastUsed(*table);
    if (epoch_ - last >= kIdleEpochs) idle.emplace_back(last, table);
  }
  std::sort(idle.begin(), idle.end(),
            [](const auto& a, const auto& b) { return a.first < b.first; });
  for (const auto& [last, table] : idle) {
    if (used_bytes() - grave_bytes_ <= target_bytes) break;
    Evict(table);
  }
}

void TableLoader::ForgetIdleFiles() {
  std::vector<std::pair<uint32_t, pprofd_file_key>> idle;
  for (const auto& [key, file] : files_) {
    Result<uint32_t> epoch = writer_->LastUsedEpoch(key);
    uint32_t last = epoch.ok() ? *epoch : 0;
    if (epoch_ - last >= kIdleEpochs) idle.emplace_back(last, key);
  }
  std::sort(idle.begin(), idle.end(),
            [](const auto& a, const auto& b) { return a.first < b.first; });
  for (const auto& [last, key] : idle) {
    if (files_.size() <= LowWater(PPROFD_MAX_MODULES)) break;
    Status status = Forget(key, files_.at(key).number);
    if (!status.ok()) LogNotRemoved(status);
  }
}

void TableLoader::ForgetStarvedFiles() {
  std::erase_if(files_, [&](const auto& entry) {
    if (!entry.second.is_starved) return false;
    Status status = writer_->RemoveModule(entry.first);
    if (!status.ok()) LogNotRemoved(status);
    return true;
  });
  starved_count_ = 0;
}

void TableLoader::UpdateGauges() {
  GlobalCounters().Set(Counter::unwind_table_bytes, used_bytes());
  GlobalCounters().Set(Counter::unwind_rows_loaded, row_count_);
}

}  // namespace pprofd
