#include <dwarf.h>

#include "symbolizer/byte_reader.h"
#include "symbolizer/line_program.h"

namespace pprofd {
namespace {

constexpr uint16_t kContentPath = 1;    // DW_LNCT_path
constexpr uint16_t kContentFolder = 2;  // DW_LNCT_directory_index

// One field of a version 5 table entry.
struct Field {
  std::string_view text = {};
  uint64_t number = 0;
};

Field ReadField(ByteReader& reader, uint64_t form, uint8_t offset_size,
                const LineSections& sections) {
  switch (form) {
    case DW_FORM_string:
      return {.text = reader.CString()};
    case DW_FORM_line_strp:
      return {.text = StringAt(sections.line_str, reader.Unsigned(offset_size),
                               LineHeader::kMaxNameBytes)};
    case DW_FORM_strp:
      return {.text = StringAt(sections.str, reader.Unsigned(offset_size),
                               LineHeader::kMaxNameBytes)};
    case DW_FORM_udata:
      return {.number = reader.Uleb()};
    case DW_FORM_data1:
      return {.number = reader.U8()};
    case DW_FORM_data2:
      return {.number = reader.U16()};
    case DW_FORM_data4:
      return {.number = reader.U32()};
    case DW_FORM_data8:
      return {.number = reader.U64()};
    case DW_FORM_data16:
      reader.Skip(16);
      return {};
    case DW_FORM_block:
      reader.Skip(reader.Uleb());
      return {};
  }
  reader.Skip(UINT64_MAX);  // unknown: what follows cannot be found
  return {};
}

// A folder or file table of version 5.
std::vector<LineHeader::File> ReadTable5(ByteReader& reader,
                                         uint8_t offset_size,
                                         const LineSections& sections) {
  std::vector<std::pair<uint64_t, uint64_t>> format(reader.U8());
  for (auto& [content, form] : format) {
    content = reader.Uleb();
    form = reader.Uleb();
  }
  uint64_t count = reader.Uleb();
  std::vector<LineHeader::File> entries;
  if (format.empty()) return entries;
  while (reader.ok() && entries.size() < count &&
         entries.size() < LineHeader::kMaxNames) {
    LineHeader::File entry;
    for (const auto& [content, form] : format) {
      Field field = ReadField(reader, form, offset_size, sections);
      if (content == kContentPath) entry.name = field.text;
      if (content == kContentFolder) entry.folder = field.number;
    }
    if (reader.ok()) entries.push_back(entry);
  }
  return entries;
}

// Tables of versions 2 to 4; number 0 means what the unit's entry says.
void ReadTables4(ByteReader& reader, LineHeader& header) {
  header.folders.push_back("");
  while (header.folders.size() < LineHeader::kMaxNames) {
    std::string_view folder = reader.CString();
    if (folder.empty()) break;
    header.folders.push_back(folder);
  }
  header.files.push_back({});
  while (header.files.size() < LineHeader::kMaxNames) {
    std::string_view name = reader.CString();
    if (name.empty()) break;
    uint64_t folder = reader.Uleb();
    reader.Uleb();  // time
    reader.Uleb();  // size
    header.files.push_back({name, folder});
  }
}

}  // namespace

std::optional<LineHeader> LineHeader::Parse(const LineSections& sections,
                                            uint64_t offset) {
  ByteReader start(sections.line, offset);
  LineHeader header;
  uint64_t length = start.U32();
  if (length == 0xffffffff) {
    header.offset_size = 8;
    length = start.U64();
  }
  ByteReader reader(start.Bytes(length));
  if (!start.ok() || length > kMaxProgramBytes) return std::nullopt;
  header.version = reader.U16();
  if (header.version < 2 || header.version > 5) return std::nullopt;
  if (header.version >= 5) {
    header.address_size = reader.U8();
    reader.U8();  // segment selector size
  }
  uint64_t header_length = reader.Unsigned(header.offset_size);
  if (!reader.ok() || header_length > reader.remaining()) return std::nullopt;
  uint64_t program_start = reader.offset() + header_length;
  header.min_instruction_bytes = reader.U8();
  if (header.version >= 4) reader.U8();  // operations per instruction: not VLIW
  reader.U8();                           // default of is_stmt
  header.line_base = reader.S8();
  header.line_range = reader.U8();
  header.opcode_base = reader.U8();
  if (header.line_range == 0 || header.opcode_base == 0) return std::nullopt;
  auto lengths = reader.Bytes(header.opcode_base - 1);
  header.opcode_lengths.assign(lengths.begin(), lengths.end());
  if (header.version >= 5) {
    for (const File& folder :
         ReadTable5(reader, header.offset_size, sections)) {
      header.folders.push_back(folder.name);
    }
    header.files = ReadTable5(reader, header.offset_size, sections);
  } else {
    ReadTables4(reader, header);
  }
  if (!reader.ok()) return std::nullopt;
  ByteReader whole(sections.line, start.offset() - length + program_start);
  header.program = whole.Bytes(length - program_start);
  return header;
}

std::string LineHeader::Path(uint64_t file,
                             std::string_view compilation_folder) const {
  if (file >= files.size() || files[file].name.empty()) return "";
  const File& entry = files[file];
  std::string path(entry.name.substr(0, kMaxNameBytes));
  if (path.starts_with('/')) return path;
  if (entry.folder < folders.size() && !folders[entry.folder].empty()) {
    std::string_view folder = folders[entry.folder].substr(0, kMaxNameBytes);
    path = std::string(folder) + "/" + path;
  }
  // Since version 5, folder 0 is the compilation folder itself.
  bool is_complete = path.starts_with('/') || compilation_folder.empty() ||
                     (version >= 5 && entry.folder == 0);
  if (is_complete) return path;
  return std::string(compilation_folder.substr(0, kMaxNameBytes)) + "/" + path;
}

}  // namespace pprofd
