#include "daemon/symbolize_command.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <climits>
#include <cstdlib>
#include <optional>

#include "daemon/server/text.h"

namespace pprofd {
namespace {

constexpr std::string_view kBlanks = " \t\r";
constexpr size_t kMinBuildIdDigits = 8;
constexpr size_t kMaxBuildIdDigits = 128;
// A compilation unit takes a fraction of a second; this only ends what hangs.
constexpr std::chrono::hours kTime{1};

bool IsBuildId(std::string_view name) {
  return name.size() >= kMinBuildIdDigits && name.size() <= kMaxBuildIdDigits &&
         name.size() % 2 == 0 &&
         name.find_first_not_of("0123456789abcdefABCDEF") ==
             std::string_view::npos;
}

std::string LowerCase(std::string text) {
  for (char& c : text) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return text;
}

// Takes the first word off `rest`, a first one in double quotes whole.
Result<std::string_view> TakeWord(std::string_view& rest) {
  rest.remove_prefix(std::min(rest.find_first_not_of(kBlanks), rest.size()));
  bool is_quoted = rest.starts_with('"');
  if (is_quoted) rest.remove_prefix(1);
  size_t end = is_quoted ? rest.find('"') : rest.find_first_of(kBlanks);
  if (is_quoted && end == std::string_view::npos) {
    return Status(StatusCode::kInvalid, "a double quote is not closed");
  }
  std::string_view word = rest.substr(0, end);
  rest.remove_prefix(std::min(word.size() + (is_quoted ? 1 : 0), rest.size()));
  return word;
}

std::optional<ModuleAddr> ParseAddress(std::string_view word) {
  if (word.starts_with("0x") || word.starts_with("0X")) word.remove_prefix(2);
  uint64_t value = 0;
  auto [end, error] =
      std::from_chars(word.data(), word.data() + word.size(), value, 16);
  if (error != std::errc() || end != word.data() + word.size()) return {};
  return ModuleAddr{value};
}

// The next line without its end; what is beyond kMaxLineBytes + 1 is dropped.
bool ReadLine(std::istream& in, std::string* line) {
  line->clear();
  bool has_any = false;
  for (;;) {
    int c = in.rdbuf()->sbumpc();
    if (c == std::istream::traits_type::eof()) return has_any;
    has_any = true;
    if (c == '\n') return true;
    if (line->size() <= SymbolizeCommand::kMaxLineBytes) {
      *line += static_cast<char>(c);
    }
  }
}

std::string FormatLine(const SymbolLine& line) {
  std::string place = "??:0";
  if (!line.file.empty()) {
    place = fmt::format("{}:{}", line.file, line.line);
    if (line.line > 0 && line.column > 0) {
      place += fmt::format(":{}", line.column);
    }
  }
  return OneLine(
      fmt::format("{} at {}", line.name.empty() ? "??" : line.name, place));
}

}  // namespace

std::string FormatChain(const SymbolChain& chain) {
  if (chain.empty()) return "?? at ??:0\n\n";
  std::string block;
  for (const SymbolLine& line : chain) {
    if (!block.empty()) block += " (inlined by) ";
    block += FormatLine(line) + "\n";
  }
  return block + "\n";
}

SymbolizeCommand::SymbolizeCommand(SymbolizerClient& symbolizer,
                                   std::vector<std::string> debug_roots,
                                   DemangleStyle style)
    : symbolizer_(symbolizer),
      debug_roots_(std::move(debug_roots)),
      style_(style) {}

bool SymbolizeCommand::Run(std::istream& in, std::ostream& out,
                           std::ostream& errors) {
  bool is_good = true;
  std::string line;
  for (uint64_t number = 1; ReadLine(in, &line); ++number) {
    if (line.find_first_not_of(kBlanks) == std::string::npos) continue;
    Result<std::string> answer = Answer(line);
    if (answer.ok()) {
      out << *answer;
    } else {
      is_good = false;
      errors << "pprofd symbolize: line " << number << ": "
             << OneLine(answer.status().message()) << "\n"
             << std::flush;
      out << "\n";
    }
    // Nobody reads any more.
    if (!out.flush()) return false;
  }
  return is_good;
}

Result<SymbolizeCommand::Question> SymbolizeCommand::Parse(
    std::string_view line) {
  if (line.size() > kMaxLineBytes) {
    return Status(StatusCode::kInvalid,
                  fmt::format("longer than {} bytes", kMaxLineBytes));
  }
  Question question;
  ASSIGN_OR_RETURN(std::string_view name, TakeWord(line));
  question.name = name;
  while (line.find_first_not_of(kBlanks) != std::string_view::npos) {
    ASSIGN_OR_RETURN(std::string_view word, TakeWord(line));
    std::optional<ModuleAddr> address = ParseAddress(word);
    if (!address) {
      return Status(StatusCode::kInvalid,
                    fmt::format("'{}' is no hexadecimal address", word));
    }
    question.addresses.push_back(*address);
  }
  if (question.name.empty() || question.addresses.empty()) {
    return Status(StatusCode::kInvalid,
                  "expected a file or build ID, then addresses");
  }
  return question;
}

Result<std::string> SymbolizeCommand::Answer(std::string_view line) {
  ASSIGN_OR_RETURN(Question question, Parse(line));
  ASSIGN_OR_RETURN(OpenedFile file, Find(question.name));
  ModuleSymbols symbols = symbolizer_.SymbolizeModule(
      {.file = file.fd.get(),
       .key = file.cache_key,
       .path = file.path,
       .root = ""},
      question.addresses, style_, std::chrono::steady_clock::now() + kTime);
  if (!symbols.problem.empty()) {
    return Status(StatusCode::kGone, symbols.problem).WithContext(file.path);
  }
  std::string blocks;
  for (size_t i = 0; i < symbols.size(); ++i) {
    blocks += FormatChain(symbols.Chain(i));
  }
  return blocks;
}

Result<SymbolizeCommand::OpenedFile> SymbolizeCommand::Find(
    const std::string& name) {
  if (IsBuildId(name)) return FindByBuildId(LowerCase(name));
  return Open(name);
}

Result<SymbolizeCommand::OpenedFile> SymbolizeCommand::FindByBuildId(
    const std::string& hex) {
  std::vector<std::string> candidates;
  if (auto known = known_.find(hex); known != known_.end()) {
    candidates.push_back(known->second);
  }
  std::string below = "/.build-id/" + hex.substr(0, 2) + "/" + hex.substr(2);
  for (const std::string& root : debug_roots_) {
    candidates.push_back(root + below + ".debug");
    candidates.push_back(root + below);
  }
  candidates.push_back("/usr/lib" + below);
  std::string tried;
  for (const std::string& path : candidates) {
    Result<OpenedFile> file = Open(path);
    if (file.ok() && file->build_id.Hex() == hex) return file;
    tried += (tried.empty() ? "" : ", ") + path;
  }
  return Status(StatusCode::kNotFound,
                fmt::format("no file of build ID {}: tried {}", hex, tried));
}

Result<SymbolizeCommand::OpenedFile> SymbolizeCommand::Open(
    const std::string& path) {
  OpenedFile file;
  // Without waiting: it may be a FIFO.
  file.fd.Reset(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  struct stat info;
  if (!file.fd || fstat(file.fd.get(), &info) != 0) {
    return Status::FromErrno(errno, path);
  }
  Result<ElfDescription> description = symbolizer_.Describe(file.fd.get());
  if (!description.ok()) return description.status().WithContext(path);
  file.build_id = description->build_id;
  // Debug links are searched beside the file itself, not beside a link to it.
  char resolved[PATH_MAX];
  file.path = realpath(path.c_str(), resolved) != nullptr ? resolved : path;
  file.cache_key =
      fmt::format("{}:{}:{}:{}:{}", info.st_dev, info.st_ino, info.st_size,
                  info.st_mtim.tv_sec, info.st_mtim.tv_nsec);
  if (!file.build_id.empty() && known_.size() < kMaxKnown) {
    known_.emplace(file.build_id.Hex(), file.path);
  }
  return file;
}

}  // namespace pprofd
