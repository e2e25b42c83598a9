// JitDumpWriter: writes jitdumps, good ones and others.
#ifndef SYMBOLIZER_TESTDATA_JIT_DUMP_WRITER_H_
#define SYMBOLIZER_TESTDATA_JIT_DUMP_WRITER_H_

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

namespace pprofd {

struct JitDumpWriter {
  struct Entry {
    uint64_t address = 0;
    uint32_t line = 0;
    std::string file;
  };

  static void Put(std::string* out, uint64_t value, size_t size) {
    char bytes[sizeof(value)];
    std::memcpy(bytes, &value, sizeof(value));
    out->append(bytes, size);
  }
  static void PutText(std::string* out, std::string_view text) {
    out->append(text).push_back('\0');
  }

  static std::string Header(uint32_t padding = 0, uint32_t version = 1) {
    std::string out;
    Put(&out, 0x4a695444, 4);
    Put(&out, version, 4);
    Put(&out, 40, 4);
    Put(&out, 62, 4);
    Put(&out, padding, 4);
    Put(&out, 7, 4);
    Put(&out, 1, 8);
    Put(&out, 0, 8);
    return out;
  }
  static std::string Record(uint32_t type, const std::string& content) {
    std::string out;
    Put(&out, type, 4);
    Put(&out, 16 + content.size(), 4);
    Put(&out, 1, 8);
    return out + content;
  }
  static std::string Load(uint64_t start, uint64_t size, uint64_t index,
                          std::string_view name, size_t code_bytes = 16) {
    std::string out;
    Put(&out, 0x700000007, 8);
    Put(&out, start, 8);
    Put(&out, start, 8);
    Put(&out, size, 8);
    Put(&out, index, 8);
    PutText(&out, name);
    return Record(0, out + std::string(code_bytes, '\xcc'));
  }
  static std::string Move(uint64_t from, uint64_t to, uint64_t size,
                          uint64_t index) {
    std::string out;
    Put(&out, 0x700000007, 8);
    Put(&out, to, 8);
    Put(&out, from, 8);
    Put(&out, to, 8);
    Put(&out, size, 8);
    Put(&out, index, 8);
    return Record(1, out);
  }
  // What is in a record of lines.
  static std::string LinesContent(uint64_t code,
                                  const std::vector<Entry>& entries) {
    std::string out;
    Put(&out, code, 8);
    Put(&out, entries.size(), 8);
    for (const Entry& entry : entries) {
      Put(&out, entry.address, 8);
      Put(&out, entry.line, 4);
      Put(&out, 0, 4);
      PutText(&out, entry.file);
    }
    return out;
  }
  static std::string Lines(uint64_t code, const std::vector<Entry>& entries) {
    return Record(2, LinesContent(code, entries));
  }
};

}  // namespace pprofd

#endif  // SYMBOLIZER_TESTDATA_JIT_DUMP_WRITER_H_
