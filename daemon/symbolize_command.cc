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
#include <iterator>

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

}  // namespace

ChainFormatter::ChainFormatter(const ModuleSymbols& symbols)
    : symbols_(symbols) {
  functions_.reserve(symbols.functions.size());
  for (const SymbolFunction& function : symbols.functions) {
    functions_.push_back(
        {.name = function.name.empty() ? "??" : OneLine(function.name),
         .file = OneLine(function.file)});
  }
}

void ChainFormatter::Append(size_t i, std::string* text) const {
  auto end = std::back_inserter(*text);
  size_t first = i == 0 ? 0 : symbols_.chain_ends[i - 1];
  size_t limit = symbols_.chain_ends[i];
  if (first == limit) text->append("?? at ??:0\n");
  for (size_t k = first; k < limit; ++k) {
    const ModuleSymbols::Call& call = symbols_.calls[k];
    const FunctionText& function = functions_[call.function];
    if (k > first) text->append(" (inlined by) ");
    text->append(function.name);
    if (function.file.empty()) {
      text->append(" at ??:0");
    } else {
      fmt::format_to(end, " at {}:{}", function.file, call.line);
      if (call.line > 0 && call.column > 0) {
        fmt::format_to(end, ":{}", call.column);
      }
    }
    text->push_back('\n');
  }
  text->push_back('\n');
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
  while (true) {
    std::vector<Line> lines = ReadLines(in);
    if (lines.empty()) return is_good;
    is_good &= Answer(lines, out, errors);
    // Nobody reads any more.
    if (!out.flush()) return false;
  }
}

// One byte at least, unless the input has ended, and all that needs no waiting.
void SymbolizeCommand::ReadBytes(std::istream& in) {
  std::streambuf& buffer = *in.rdbuf();
  int first = buffer.sbumpc();
  if (first == std::istream::traits_type::eof()) {
    in.setstate(std::ios::eofbit);
    return;
  }
  unread_ += static_cast<char>(first);
  while (unread_.size() < kMaxBatchBytes) {
    std::streamsize there = buffer.in_avail();
    if (there <= 0) return;
    size_t old_size = unread_.size();
    unread_.resize(std::min(old_size + static_cast<size_t>(there),
                            std::max(kMaxBatchBytes, old_size)));
    std::streamsize wanted =
        static_cast<std::streamsize>(unread_.size() - old_size);
    std::streamsize got = buffer.sgetn(unread_.data() + old_size, wanted);
    unread_.resize(old_size + static_cast<size_t>(got));
    if (got < wanted) return;
  }
}

std::vector<SymbolizeCommand::Line> SymbolizeCommand::ReadLines(
    std::istream& in) {
  std::vector<Line> lines;
  while (lines.empty() && !in.eof()) {
    ReadBytes(in);
    if (in.eof() && !unread_.empty()) unread_ += '\n';
    size_t start = 0;
    size_t end = 0;
    while ((end = unread_.find('\n', start)) != std::string::npos) {
      size_t size = std::min(end - start, kMaxLineBytes + 1);
      lines.push_back(
          {.number = ++lines_read_, .text = unread_.substr(start, size)});
      start = end + 1;
    }
    unread_.erase(0, start);
    unread_.resize(std::min(unread_.size(), kMaxLineBytes + 1));
  }
  return lines;
}

bool SymbolizeCommand::Answer(std::span<const Line> lines, std::ostream& out,
                              std::ostream& errors) {
  bool is_good = true;
  while (!lines.empty()) {
    std::vector<Result<Part>> parts;
    parts.reserve(lines.size());
    while (parts.size() < lines.size() && asked_.size() < kMaxAskedFiles) {
      parts.push_back(Ask(lines[parts.size()].text));
    }
    is_good &= Write(lines.first(parts.size()), parts, out, errors);
    lines = lines.subspan(parts.size());
    asked_.clear();
  }
  return is_good;
}

bool SymbolizeCommand::Write(std::span<const Line> lines,
                             const std::vector<Result<Part>>& parts,
                             std::ostream& out, std::ostream& errors) {
  std::string text;
  bool is_good = true;
  for (size_t i = 0; i < lines.size(); ++i) {
    if (parts[i].ok() && parts[i]->asked == nullptr) continue;  // blank
    Status status = parts[i].ok() ? Name(*parts[i]->asked) : parts[i].status();
    text.clear();
    if (status.ok()) {
      for (size_t k = parts[i]->first; k < parts[i]->limit; ++k) {
        parts[i]->asked->formatter->Append(k, &text);
      }
    } else {
      is_good = false;
      errors << "pprofd symbolize: line " << lines[i].number << ": "
             << OneLine(status.message()) << "\n"
             << std::flush;
      text = "\n";
    }
    out << text;
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

Result<SymbolizeCommand::Part> SymbolizeCommand::Ask(std::string_view line) {
  if (line.find_first_not_of(kBlanks) == std::string::npos) return Part();
  ASSIGN_OR_RETURN(Question question, Parse(line));
  auto known = asked_.find(question.name);
  if (known == asked_.end()) {
    ASSIGN_OR_RETURN(OpenedFile file, Find(question.name));
    known = asked_.try_emplace(question.name).first;
    known->second.file = std::move(file);
  }
  std::vector<ModuleAddr>& addresses = known->second.addresses;
  Part part{.asked = &known->second, .first = addresses.size()};
  addresses.insert(addresses.end(), question.addresses.begin(),
                   question.addresses.end());
  part.limit = addresses.size();
  return part;
}

// What all lines of the batch ask; at the first of them.
Status SymbolizeCommand::Name(AskedFile& asked) const {
  if (!asked.formatter) {
    asked.symbols = symbolizer_.SymbolizeModule(
        {.file = asked.file.fd.get(),
         .key = asked.file.cache_key,
         .path = asked.file.path,
         .root = ""},
        asked.addresses, style_, std::chrono::steady_clock::now() + kTime);
    asked.formatter.emplace(asked.symbols);
  }
  if (asked.symbols.problem.empty()) return Status::Ok();
  return Status(StatusCode::kGone, asked.symbols.problem)
      .WithContext(asked.file.path);
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
  file.cache_key =
      fmt::format("{}:{}:{}:{}:{}", info.st_dev, info.st_ino, info.st_size,
                  info.st_mtim.tv_sec, info.st_mtim.tv_nsec);
  Result<BuildId> build_id = ReadBuildId(file);
  if (!build_id.ok()) return build_id.status().WithContext(path);
  file.build_id = *build_id;
  // Debug links are searched beside the file itself, not beside a link to it.
  char resolved[PATH_MAX];
  file.path = realpath(path.c_str(), resolved) != nullptr ? resolved : path;
  if (!file.build_id.empty() && known_.size() < kMaxKnown) {
    known_.emplace(file.build_id.Hex(), file.path);
  }
  return file;
}

Result<BuildId> SymbolizeCommand::ReadBuildId(const OpenedFile& file) {
  auto known = build_ids_.find(file.cache_key);
  if (known != build_ids_.end()) return known->second;
  ASSIGN_OR_RETURN(ElfDescription description,
                   symbolizer_.Describe(file.fd.get()));
  if (build_ids_.size() < kMaxKnown) {
    build_ids_.emplace(file.cache_key, description.build_id);
  }
  return description.build_id;
}

}  // namespace pprofd
