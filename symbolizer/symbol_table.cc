#include "symbolizer/symbol_table.h"

#include <elf.h>

#include <algorithm>
#include <cstring>
#include <tuple>
#include <utility>
#include <vector>

namespace pprofd {
namespace {

constexpr size_t kComparedNameBytes = 512;

struct Candidate {
  uint64_t start = 0;
  uint64_t size = 0;
  uint64_t section_end = 0;
  uint32_t name = 0;  // offset from the first string table of the file
  uint8_t type_rank = 0;
  uint8_t binding_rank = 0;
};

size_t LeadingUnderscores(std::string_view name) {
  return std::min(name.find_first_not_of('_'), name.size());
}

uint8_t BindingRank(unsigned binding) {
  switch (binding) {
    case STB_GLOBAL:
    case STB_GNU_UNIQUE:
      return 0;
    case STB_WEAK:
      return 1;
    default:
      return 2;
  }
}

// The string table of a symbol table; nothing if it is not plain bytes.
const ElfSection* StringsOf(const ElfFile& file, const ElfSection& symbols) {
  if (symbols.link >= file.sections().size()) return nullptr;
  const ElfSection& strings = file.sections()[symbols.link];
  uint64_t file_size = file.bytes().size();
  if (strings.type != SHT_STRTAB || strings.offset.value > file_size ||
      strings.size > file_size - strings.offset.value) {
    return nullptr;
  }
  return &strings;
}

// What a symbol says, or nothing if it is no function.
std::optional<Candidate> ToCandidate(const ElfFile& file,
                                     const Elf64_Sym& symbol,
                                     uint64_t name_offset,
                                     uint64_t names_base) {
  unsigned type = ELF64_ST_TYPE(symbol.st_info);
  bool is_function = type == STT_FUNC || type == STT_GNU_IFUNC;
  if (!is_function && type != STT_NOTYPE) return std::nullopt;
  if (symbol.st_shndx == SHN_UNDEF || symbol.st_name == 0) return std::nullopt;
  uint64_t section_end = UINT64_MAX;
  if (symbol.st_shndx < file.sections().size()) {
    const ElfSection& section = file.sections()[symbol.st_shndx];
    if ((section.flags & SHF_EXECINSTR) == 0) return std::nullopt;
    if (symbol.st_value < section.address.value ||
        symbol.st_value - section.address.value >= section.size) {
      return std::nullopt;
    }
    section_end = section.address.value + section.size;
  } else if (!is_function || symbol.st_size == 0) {
    return std::nullopt;  // absolute, or of a file without section headers
  }
  if (name_offset < names_base || name_offset - names_base >= UINT32_MAX) {
    return std::nullopt;
  }
  return Candidate{.start = symbol.st_value,
                   .size = symbol.st_size,
                   .section_end = section_end,
                   .name = static_cast<uint32_t>(name_offset - names_base),
                   .type_rank = static_cast<uint8_t>(is_function ? 0 : 1),
                   .binding_rank = BindingRank(ELF64_ST_BIND(symbol.st_info))};
}

void ReadSymbols(const ElfFile& file, const ElfSection& section,
                 uint64_t names_base, std::vector<Candidate>& candidates) {
  const ElfSection* strings = StringsOf(file, section);
  auto bytes = file.ViewSection(section);
  if (strings == nullptr || !bytes.ok()) return;
  uint64_t end = std::min<uint64_t>(
      bytes->size(), SymbolTable::kMaxEntries * sizeof(Elf64_Sym));
  for (uint64_t offset = 0; offset + sizeof(Elf64_Sym) <= end &&
                            candidates.size() < SymbolTable::kMaxSymbols;
       offset += sizeof(Elf64_Sym)) {
    Elf64_Sym symbol;
    std::memcpy(&symbol, bytes->data() + offset, sizeof(symbol));
    if (symbol.st_name >= strings->size) continue;
    auto candidate = ToCandidate(
        file, symbol, strings->offset.value + symbol.st_name, names_base);
    if (!candidate) continue;
    // Mapping symbols and labels of the assembler are no functions.
    if (candidate->type_rank == 1) {
      std::string_view name =
          NameAt(file, {names_base + candidate->name}, kComparedNameBytes);
      if (name.empty() || name.starts_with('$') || name.starts_with(".L")) {
        continue;
      }
    }
    candidates.push_back(*candidate);
  }
}

// What a candidate of one start is preferred for, before its name.
auto KeyOf(const Candidate& c) {
  return std::tuple(c.start, c.type_rank, c.size == 0, c.binding_rank);
}

bool HasBetterName(const ElfFile& file, uint64_t names_base, const Candidate& a,
                   const Candidate& b) {
  std::string_view a_name =
      NameAt(file, {names_base + a.name}, kComparedNameBytes);
  std::string_view b_name =
      NameAt(file, {names_base + b.name}, kComparedNameBytes);
  return std::tuple(LeadingUnderscores(a_name), a_name.size(), a_name) <
         std::tuple(LeadingUnderscores(b_name), b_name.size(), b_name);
}

// Best candidate first among those of one start. Names are long to compare, so
// each is compared with the best only.
void SortBestFirst(const ElfFile& file, uint64_t names_base,
                   std::vector<Candidate>& candidates) {
  std::sort(candidates.begin(), candidates.end(),
            [](const Candidate& a, const Candidate& b) {
              return KeyOf(a) < KeyOf(b);
            });
  size_t best = 0;
  for (size_t i = 1; i < candidates.size(); ++i) {
    if (KeyOf(candidates[i]) != KeyOf(candidates[best])) {
      best = i;
    } else if (HasBetterName(file, names_base, candidates[i],
                             candidates[best])) {
      std::swap(candidates[i], candidates[best]);
    }
  }
}

// Start of the first of `named` that ends after `start`. `named` is by address.
uint64_t FreeUntil(const std::vector<RangeMap::Range>& named, uint64_t start) {
  auto next = std::partition_point(
      named.begin(), named.end(),
      [&](const RangeMap::Range& range) { return range.end <= start; });
  return next == named.end() ? UINT64_MAX : next->start;
}

// Keeps the best of each start, and gives unsized ones their end.
std::vector<RangeMap::Range> ToRanges(
    const std::vector<Candidate>& sorted,
    const std::vector<RangeMap::Range>& named_beside) {
  std::vector<RangeMap::Range> ranges;
  uint64_t covered_until = 0;
  for (size_t i = 0; i < sorted.size();) {
    const Candidate& best = sorted[i];
    uint64_t size = 0;
    for (; i < sorted.size() && sorted[i].start == best.start; ++i) {
      size = std::max(size, sorted[i].size);
    }
    uint64_t end = best.section_end;
    if (size > 0) {
      if (size < end - best.start) end = best.start + size;
      covered_until = std::max(covered_until, end);
    } else {
      if (best.start < covered_until) continue;
      if (i < sorted.size()) end = std::min(end, sorted[i].start);
      end = std::min(end, FreeUntil(named_beside, best.start));
    }
    ranges.push_back({.start = best.start,
                      .end = end,
                      .priority = static_cast<uint32_t>(ranges.size()),
                      .value = best.name});
  }
  return ranges;
}

}  // namespace

std::string_view NameAt(const ElfFile& file, FileOffset name,
                        size_t max_bytes) {
  std::span<const uint8_t> bytes = file.bytes();
  if (name.value >= bytes.size()) return {};
  const char* start = reinterpret_cast<const char*>(bytes.data()) + name.value;
  size_t limit = std::min<size_t>(max_bytes, bytes.size() - name.value);
  return {start, strnlen(start, limit)};
}

SymbolTable SymbolTable::Read(const ElfFile& file, const SymbolTable* beside) {
  SymbolTable table;
  table.names_base_ = UINT64_MAX;
  std::vector<const ElfSection*> sources;
  for (const ElfSection& section : file.sections()) {
    if (section.type != SHT_SYMTAB && section.type != SHT_DYNSYM) continue;
    const ElfSection* strings = StringsOf(file, section);
    if (strings == nullptr || sources.size() >= 4) continue;
    sources.push_back(&section);
    table.names_base_ = std::min(table.names_base_, strings->offset.value);
  }
  std::vector<Candidate> candidates;
  for (const ElfSection* source : sources) {
    ReadSymbols(file, *source, table.names_base_, candidates);
  }
  SortBestFirst(file, table.names_base_, candidates);
  std::vector<RangeMap::Range> ranges =
      ToRanges(candidates, beside ? beside->functions_.Segments()
                                  : std::vector<RangeMap::Range>());
  table.symbol_count_ = ranges.size();
  table.functions_ = RangeMap(std::move(ranges));
  return table;
}

std::optional<FileOffset> SymbolTable::Find(ModuleAddr address) const {
  auto name = functions_.Find(address.value);
  if (!name) return std::nullopt;
  return FileOffset{names_base_ + *name};
}

}  // namespace pprofd
