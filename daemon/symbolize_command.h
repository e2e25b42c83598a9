// SymbolizeCommand: `pprofd symbolize`, names for addresses without a daemon.
//
// A line of the question is FILE-or-BUILDID ADDRESS…; a name that holds blanks
// stands in double quotes. What has no '/' and is 8 to 128 hexadecimal digits,
// an even number, is a build ID; write ./NAME for a file of such a name. It is
// looked for among the files named before and in the .build-id folders of the
// debug roots and of /usr/lib. Addresses are hexadecimal, with or without 0x,
// in the file's ELF address space, and looked up as they are.
//
// The answer to an address is a block that ends with an empty line, innermost
// call first:
//
//   name at file:line:column
//    (inlined by) name at file:line:column
//
// The column is left out where unknown; unknown names are ??, unknown places
// ??:0. A bad line is answered by an empty line alone and a message on the
// error stream. Lines that are there without waiting are answered together,
// then output is flushed, so that the command can be a co-process. Blank lines
// are no questions.
// Borrows: the symbolizer.
// Thread: one.
// Bound: kMaxLineBytes of a line, kMaxBatchBytes of lines at once,
//   kMaxAskedFiles open, kMaxKnown files and build IDs remembered.
#ifndef DAEMON_SYMBOLIZE_COMMAND_H_
#define DAEMON_SYMBOLIZE_COMMAND_H_

#include <cstddef>
#include <cstdint>
#include <istream>
#include <map>
#include <optional>
#include <ostream>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "daemon/base/status.h"
#include "daemon/base/unique_handle.h"
#include "daemon/model/ids.h"
#include "daemon/symbolizer_client/symbolizer_client.h"
#include "symbolizer/symbols.h"

namespace pprofd {

// Writes blocks of the answer. Borrows the symbols.
class ChainFormatter {
 public:
  explicit ChainFormatter(const ModuleSymbols& symbols);
  // That of the i-th address.
  void Append(size_t i, std::string* text) const;

 private:
  struct FunctionText {
    std::string name;
    std::string file;  // "" unknown
  };

  const ModuleSymbols& symbols_;
  std::vector<FunctionText> functions_;  // each fit for one line
};

class SymbolizeCommand {
 public:
  static constexpr size_t kMaxLineBytes = 64 << 10;
  static constexpr size_t kMaxBatchBytes = 512 << 10;
  static constexpr size_t kMaxAskedFiles = 64;
  static constexpr size_t kMaxKnown = 65'536;

  // `debug_roots` are where build IDs are looked for.
  SymbolizeCommand(SymbolizerClient& symbolizer,
                   std::vector<std::string> debug_roots, DemangleStyle style);

  // Answers until the input ends. False when a line was bad.
  bool Run(std::istream& in, std::ostream& out, std::ostream& errors);

 private:
  struct Line {
    uint64_t number = 0;
    std::string text;  // cut at kMaxLineBytes + 1
  };
  struct Question {
    std::string name;
    std::vector<ModuleAddr> addresses;
  };
  struct OpenedFile {
    std::string path;  // absolute
    std::string cache_key;
    BuildId build_id;
    UniqueFd fd;
  };
  // A file, and what all lines of a batch ask of it.
  struct AskedFile {
    OpenedFile file;
    std::vector<ModuleAddr> addresses;
    ModuleSymbols symbols;
    std::optional<ChainFormatter> formatter;  // of `symbols`
  };
  // A line's part of its file's addresses.
  struct Part {
    AskedFile* asked = nullptr;
    size_t first = 0;
    size_t limit = 0;
  };

  // Waits for one; none at the end of the input.
  std::vector<Line> ReadLines(std::istream& in);
  void ReadBytes(std::istream& in);
  // False when a line was bad, both.
  bool Answer(std::span<const Line> lines, std::ostream& out,
              std::ostream& errors);
  bool Write(std::span<const Line> lines,
             const std::vector<Result<Part>>& parts, std::ostream& out,
             std::ostream& errors);
  static Result<Question> Parse(std::string_view line);
  Result<Part> Ask(std::string_view line);
  Status Name(AskedFile& asked) const;
  Result<OpenedFile> Find(const std::string& name);
  Result<OpenedFile> FindByBuildId(const std::string& hex);
  // Checks that it is an ELF file, and remembers its build ID.
  Result<OpenedFile> Open(const std::string& path);
  Result<BuildId> ReadBuildId(const OpenedFile& file);

  SymbolizerClient& symbolizer_;
  const std::vector<std::string> debug_roots_;
  const DemangleStyle style_;
  std::string unread_;  // up to the first that is no whole line
  uint64_t lines_read_ = 0;
  std::map<std::string, std::string> known_;  // build ID -> path
  std::map<std::string, BuildId> build_ids_;  // by cache key
  std::map<std::string, AskedFile> asked_;    // in a batch, by name
};

}  // namespace pprofd

#endif  // DAEMON_SYMBOLIZE_COMMAND_H_
