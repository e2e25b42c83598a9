#include "symbolizer/module_source.h"

#include <elf.h>
#include <fcntl.h>

#include <algorithm>

#include "symbolizer/alternate_file.h"
#include "symbolizer/demangle.h"
#include "symbolizer/plt_names.h"

namespace pprofd {
namespace {

bool HasBytes(const ElfFile& file, std::string_view section_name) {
  const ElfSection* section = file.FindSection(section_name);
  return section != nullptr && section->type != SHT_NOBITS;
}

bool HasDwarf(const ElfFile& file) {
  return HasBytes(file, ".debug_info") || HasBytes(file, ".zdebug_info");
}

bool HasSymtab(const ElfFile& file) {
  for (const ElfSection& section : file.sections()) {
    if (section.type == SHT_SYMTAB) return true;
  }
  return false;
}

std::string Found(const std::string& where, size_t count,
                  const std::string& what) {
  return where + ": " + std::to_string(count) + " " + what;
}

}  // namespace

ModuleSymbols ModuleSource::Symbolize(int file,
                                      std::span<const ModuleAddr> addresses,
                                      DemangleStyle style, Deadline deadline) {
  if (chains_.size() > kMaxChains) {
    chains_.ClearAddresses();
    cache_.ForgetUnsaved();
  }
  std::vector<ModuleAddr> missing;
  ModuleSymbols result = Answer(addresses, style, &missing);
  if (missing.empty()) return result;
  // By address, so that a unit is done with before the next begins.
  std::sort(missing.begin(), missing.end());
  missing.erase(std::unique(missing.begin(), missing.end()), missing.end());
  Batch batch;
  batch.file = file;
  batch.deadline = deadline;
  if (OpenBatch(batch)) {
    FillCache(batch, missing);
    if (dwarf_index_) dwarf_index_->EndBatch();
    if (batch.dwarf != nullptr && batch.dwarf->decompressed_bytes() > 0) {
      warm_dwarf_ = std::move(batch.dwarf);
    }
  }
  return Answer(addresses, style, nullptr);
}

// From the cache; `missing` are those that are not in it. With one of them the
// answer is of no use, unless they are not asked for.
ModuleSymbols ModuleSource::Answer(std::span<const ModuleAddr> addresses,
                                   DemangleStyle style,
                                   std::vector<ModuleAddr>* missing) {
  ModuleSymbols result;
  result.has_filenames = has_dwarf_ || has_go_table_;
  result.has_line_numbers = result.has_filenames;
  result.has_inline_frames = result.has_filenames;
  result.chain_ends.reserve(addresses.size());
  ++answers_;
  presented_.resize(chains_.pool().function_count());
  for (ModuleAddr address : addresses) {
    auto known = chains_.Find(address);
    if (!known && missing != nullptr) missing->push_back(address);
    if (missing != nullptr && !missing->empty()) continue;
    for (const ChainTable::Call& call :
         known.value_or(std::span<const ChainTable::Call>())) {
      result.calls.push_back({.function = Present(call.function, style, result),
                              .line = call.line,
                              .column = call.column});
    }
    result.chain_ends.push_back(static_cast<uint32_t>(result.calls.size()));
  }
  return result;
}

void ModuleSource::Examine(int file) {
  Batch batch;
  batch.file = file;
  OpenBatch(batch);
}

SourceReport ModuleSource::report() const {
  return {.attempts = attempts(),
          .has_dwarf = has_dwarf_,
          .has_symtab = has_symtab_,
          .has_dynsym = has_dynsym_,
          .has_go_table = has_go_table_};
}

// False when the file cannot be read; `unusable_` says why.
bool ModuleSource::OpenBatch(Batch& batch) {
  if (!unusable_.empty()) return false;
  auto map = MapFile(batch.file);
  if (!map.ok()) {
    unusable_ = map.status().message();
  } else {
    batch.own.map = std::move(*map);
    auto elf = ElfFile::Parse(Bytes(batch.own.map));
    if (elf.ok()) {
      batch.own.elf = std::move(*elf);
    } else {
      unusable_ = elf.status().message();
    }
  }
  if (!unusable_.empty()) {
    attempts_.push_back(search_.module_path + ": " + unusable_);
    return false;
  }
  if (!is_discovered_) Discover(batch);
  if (debug_fd_ && !batch.debug.elf) {
    auto debug_map = MapFile(debug_fd_.get());
    if (debug_map.ok()) {
      batch.debug.map = std::move(*debug_map);
      auto elf = ElfFile::Parse(Bytes(batch.debug.map));
      if (elf.ok()) batch.debug.elf = std::move(*elf);
    }
    batch.is_whole = batch.debug.elf.has_value();
  }
  if (has_go_table_) batch.go = GoPclntab::Open(*batch.own.elf);
  return true;
}

// Looks once at what there is.
void ModuleSource::Discover(Batch& batch) {
  is_discovered_ = true;
  const ElfFile& own = *batch.own.elf;
  has_symtab_ = HasBytes(own, ".symtab");
  has_dynsym_ = HasBytes(own, ".dynsym");
  own_symbols_ = SymbolTable::Read(own);
  attempts_.push_back(Found(search_.module_path + " symbol tables",
                            own_symbols_.symbol_count(), "functions"));
  if (auto go = GoPclntab::Open(own)) {
    has_go_table_ = true;
    attempts_.push_back(Found(search_.module_path + " .gopclntab",
                              go->function_count(), "functions"));
  }
  has_dwarf_ = HasDwarf(own);
  if (has_dwarf_) {
    UniqueFd copy(fcntl(batch.file, F_DUPFD_CLOEXEC, 0));
    DiscoverAlternate(own, {.fd = std::move(copy),
                            .root = search_.root.empty() ? "/" : search_.root,
                            .path = search_.module_path,
                            .real_path = search_.module_path});
  } else {
    attempts_.push_back(search_.module_path + ": no DWARF");
    DiscoverDebugFile(own);
  }
  if (!HasSymtab(own) && debug_symbols_.symbol_count() == 0) {
    DiscoverMini(batch);
  }
}

void ModuleSource::DiscoverDebugFile(const ElfFile& own) {
  DebugFile found = FindDebugFile(own, search_, attempts_);
  if (!found.fd) return;
  auto map = MapFile(found.fd.get());
  if (!map.ok()) return;
  auto elf = ElfFile::Parse(Bytes(*map));
  if (!elf.ok()) return;
  has_symtab_ = has_symtab_ || HasBytes(*elf, ".symtab");
  debug_symbols_ = SymbolTable::Read(*elf);
  has_dwarf_ = dwarf_is_separate_ = HasDwarf(*elf);
  attempts_.push_back(
      Found(found.Shown(), debug_symbols_.symbol_count(),
            has_dwarf_ ? "functions, and DWARF" : "functions, no DWARF"));
  if (has_dwarf_) DiscoverAlternate(*elf, found);
  debug_path_ = found.path;
  debug_fd_ = std::move(found.fd);
}

void ModuleSource::DiscoverAlternate(const ElfFile& file,
                                     const DebugFile& holder) {
  auto link = ReadAlternateLink(file);
  if (!link) return;
  alternate_fd_ = FindAlternateFile(*link, holder, search_, attempts_).fd;
}

void ModuleSource::DiscoverMini(Batch& batch) {
  auto mini = MiniDebugInfo::Open(*batch.own.elf);
  std::string where = search_.module_path + " .gnu_debugdata";
  if (mini.ok()) {
    mini_symbols_ = SymbolTable::Read(mini->elf(), &own_symbols_);
    attempts_.push_back(
        Found(where, mini_symbols_.symbol_count(), "functions"));
    batch.mini = std::move(*mini);
  } else {
    attempts_.push_back(where + ": " + mini.status().message());
  }
}

void ModuleSource::OpenDwarf(Batch& batch) {
  if (!has_dwarf_ || batch.dwarf != nullptr) return;
  batch.dwarf = std::move(warm_dwarf_);
  if (batch.dwarf == nullptr) {
    auto opened =
        OpenDwarfFile(dwarf_is_separate_ ? debug_fd_.get() : batch.file);
    if (!opened.ok()) {
      has_dwarf_ = false;
      attempts_.push_back("DWARF: " + opened.status().message());
      cache_.TurnOff("DWARF could not be read");
      return;
    }
    batch.dwarf = std::move(*opened);
  }
  if (dwarf_index_ == nullptr) {
    split_files_ = std::make_unique<SplitFiles>(search_, debug_path_);
    dwarf_index_ = std::make_unique<DwarfIndex>(*batch.dwarf, *split_files_);
    attempts_.push_back(
        Found("DWARF", dwarf_index_->unit_count(), "compilation units"));
  }
}

Result<std::unique_ptr<DwarfFile>> ModuleSource::OpenDwarfFile(int file) {
  std::unique_ptr<DwarfFile> alternate;
  if (alternate_fd_) {
    auto map = MapFile(alternate_fd_.get());
    Status status = map.status();
    if (map.ok()) {
      auto opened = DwarfFile::Open(std::move(*map));
      status = opened.status();
      if (opened.ok()) alternate = std::move(*opened);
    }
    if (!status.ok()) {
      attempts_.push_back("alternate debug file: " + status.message());
      alternate_fd_.Reset();
      cache_.TurnOff("the alternate debug file could not be read");
    }
  }
  ASSIGN_OR_RETURN(MemoryMap map, MapFile(file));
  return DwarfFile::Open(std::move(map), std::move(alternate));
}

void ModuleSource::FillCache(Batch& batch,
                             std::span<const ModuleAddr> addresses) {
  if (has_dwarf_) cache_.BeginBatch(Files(batch), batch.deadline);
  for (ModuleAddr address : addresses) {
    if (has_dwarf_ && cache_.Find(address, chains_)) continue;
    if (!AskSources(batch, address)) break;
    if (split_files_ && split_files_->is_used()) cache_.TurnOff("split DWARF");
    if (has_dwarf_ && batch.is_whole) cache_.NoteNew(address);
  }
  cache_.EndBatch(Files(batch));
}

bool ModuleSource::AskSources(Batch& batch, ModuleAddr address) {
  if (std::chrono::steady_clock::now() >= batch.deadline ||
      chains_.pool().bytes() > kMaxPoolBytes) {
    return false;
  }
  std::vector<CodeLine> lines;
  auto answer = DwarfIndex::Answer::kNothing;
  OpenDwarf(batch);
  if (batch.dwarf != nullptr) {
    answer = dwarf_index_->Find(*batch.dwarf, chains_.pool(), address,
                                batch.deadline, lines);
    if (answer == DwarfIndex::Answer::kTimeout) return false;
  }
  if (lines.empty() && batch.go) {
    for (const GoLine& line : batch.go->Find(address)) AddGoLine(line, lines);
  }
  AddSymbolName(batch, address, lines);
  std::vector<ChainTable::Call> calls;
  calls.reserve(lines.size());
  for (const CodeLine& line : lines) {
    calls.push_back({.function = chains_.pool().AddFunction(line.function),
                     .line = line.line,
                     .column = line.column});
  }
  chains_.Add(address, calls);
  return true;
}

// Names the function itself from the symbol tables where other sources cannot:
// no name, or no linkage name (functions that only their own unit can see, and
// those of C in a namespace).
void ModuleSource::AddSymbolName(Batch& batch, ModuleAddr address,
                                 std::vector<CodeLine>& lines) {
  bool is_nameless = lines.empty() || (lines.back().function.name == 0 &&
                                       lines.back().function.linkage_name == 0);
  if (!is_nameless && lines.back().function.linkage_name != 0) return;
  std::string name = FindSymbolName(batch, address);
  if (name.empty()) return;
  StringPool& strings = chains_.pool().strings();
  if (!is_nameless) {
    PooledFunction& function = lines.back().function;
    std::string whole = name.substr(0, name.find('.'));  // of f.cold
    if (LooksMangled(name)) {
      function.linkage_name = strings.Add(name);
    } else if (strings.Get(function.name).ends_with("::" + whole)) {
      function.linkage_name = strings.Add(whole);
    }
    return;
  }
  if (lines.empty()) lines.emplace_back();
  lines.back().function.linkage_name = strings.Add(name);
}

void ModuleSource::AddGoLine(const GoLine& found,
                             std::vector<CodeLine>& lines) {
  StringPool& strings = chains_.pool().strings();
  lines.push_back({.function = {.name = strings.Add(found.function),
                                .linkage_name = 0,
                                .file = strings.Add(found.file),
                                .start_line = found.start_line},
                   .line = found.line,
                   .column = 0});
}

// As in the symbol tables; "" for none.
std::string ModuleSource::FindSymbolName(Batch& batch, ModuleAddr address) {
  if (batch.debug.elf) {
    if (auto name = debug_symbols_.Find(address)) {
      return std::string(NameAt(*batch.debug.elf, *name));
    }
  }
  std::string packed_name = FindMiniName(batch, address);
  if (!packed_name.empty()) return packed_name;
  if (auto name = own_symbols_.Find(address)) {
    return std::string(NameAt(*batch.own.elf, *name));
  }
  return PltName(*batch.own.elf, address).value_or("");
}

std::string ModuleSource::FindMiniName(Batch& batch, ModuleAddr address) {
  auto name = mini_symbols_.Find(address);
  if (!name) return "";
  if (!batch.mini) {
    auto mini = MiniDebugInfo::Open(*batch.own.elf);
    if (!mini.ok()) {
      batch.is_whole = false;
      return "";
    }
    batch.mini = std::move(*mini);
  }
  return std::string(NameAt(batch.mini->elf(), *name));
}

// Its number in the result.
uint32_t ModuleSource::Present(uint32_t number, DemangleStyle style,
                               ModuleSymbols& result) {
  Presented& presented = presented_[number];
  if (presented.answer == answers_) return presented.number;
  presented.answer = answers_;
  presented.number = static_cast<uint32_t>(result.functions.size());
  SymbolFunction& function = presented.function;
  if (function.file.data() == nullptr) {
    const PooledFunction& pooled = chains_.pool().function(number);
    const StringPool& strings = chains_.pool().strings();
    function.system_name = strings.Get(
        pooled.linkage_name != 0 ? pooled.linkage_name : pooled.name);
    function.file = strings.Get(pooled.file);
    function.start_line = pooled.start_line;
  }
  if (style == DemangleStyle::kShort && function.name.data() == nullptr) {
    const PooledFunction& pooled = chains_.pool().function(number);
    function.name = short_names_.Get(short_names_.Add(MakeName(pooled, style)));
  }
  result.functions.push_back(function);
  if (style == DemangleStyle::kNone) {
    result.functions.back().name = function.system_name;
  } else if (style != DemangleStyle::kShort) {
    result.functions.back().name =
        result.Keep(MakeName(chains_.pool().function(number), style));
  }
  return presented.number;
}

std::string ModuleSource::MakeName(const PooledFunction& function,
                                   DemangleStyle style) const {
  const StringPool& strings = chains_.pool().strings();
  const std::string& source_name = strings.Get(function.name);
  const std::string& linkage_name = strings.Get(function.linkage_name);
  if (LooksMangled(linkage_name)) {
    std::string name = Demangle(linkage_name, style);
    if (name != linkage_name) return name;
  }
  return PresentSourceName(source_name.empty() ? linkage_name : source_name,
                           style);
}

std::vector<std::string> ModuleSource::attempts() const {
  std::vector<std::string> result = attempts_;
  if (split_files_) {
    for (std::string& attempt : split_files_->attempts()) {
      result.push_back(std::move(attempt));
    }
  }
  std::string cache = cache_.attempt();
  if (!cache.empty()) result.push_back(std::move(cache));
  return result;
}

size_t ModuleSource::bytes() const {
  return sizeof(*this) + own_symbols_.bytes() + debug_symbols_.bytes() +
         mini_symbols_.bytes() + (dwarf_index_ ? dwarf_index_->bytes() : 0) +
         (split_files_ ? split_files_->bytes() : 0) + warm_bytes() +
         chains_.bytes() + cache_.bytes() + short_names_.bytes() +
         presented_.capacity() * sizeof(Presented);
}

}  // namespace pprofd
