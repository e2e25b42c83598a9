#include "symbolizer/jit_dump.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "symbolizer/byte_reader.h"
#include "symbolizer/jit_dump_lines.h"
#include "symbolizer/v8_name.h"

namespace pprofd {
namespace {

constexpr uint32_t kMagic = 0x4a695444;  // "JiTD"
constexpr uint32_t kSwappedMagic = 0x4454694a;
constexpr uint32_t kVersion = 1;
constexpr uint32_t kMaxHeaderBytes = 4096;
// What V8 has where the format has nothing.
constexpr uint32_t kV8Padding = 0xdeadbeef;
constexpr uint64_t kV8LineBias = 64;
// What the memory allocator puts into freed memory.
constexpr size_t kOverwrittenBytes = 16;

constexpr uint64_t kRecordBytes = 16;  // its header
enum RecordType : uint32_t { kLoad = 0, kMove = 1, kLines = 2 };

Status ReadAt(int fd, uint64_t offset, std::span<uint8_t> bytes, size_t* got) {
  *got = 0;
  while (*got < bytes.size()) {
    ssize_t n = pread(fd, bytes.data() + *got, bytes.size() - *got,
                      static_cast<off_t>(offset + *got));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return Status::FromErrno(errno, "jitdump");
    if (n == 0) break;
    *got += static_cast<size_t>(n);
  }
  return Status::Ok();
}

}  // namespace

// A view that moves over the file.
class JitDump::Window {
 public:
  explicit Window(int fd) : fd_(fd) {}

  // `size` bytes at `offset`, or those that there are.
  std::span<const uint8_t> At(uint64_t offset, size_t size) {
    if (offset < start_ || offset + size > start_ + used_) {
      buffer_.resize(std::max(size, kBytes));
      start_ = offset;
      Status status = ReadAt(fd_, offset, buffer_, &used_);
      if (!status.ok()) status_ = std::move(status);
      read_ += used_;
    }
    auto rest = std::span<const uint8_t>(buffer_).first(used_).subspan(
        std::min<uint64_t>(offset - start_, used_));
    return rest.first(std::min(size, rest.size()));
  }

  uint64_t bytes_read() const { return read_; }
  const Status& status() const { return status_; }

 private:
  static constexpr size_t kBytes = 64 << 10;

  int fd_;
  std::vector<uint8_t> buffer_;
  uint64_t start_ = 0;
  size_t used_ = 0;
  uint64_t read_ = 0;
  Status status_;
};

Status JitDump::Update(int fd) {
  struct stat info;
  if (fstat(fd, &info) != 0) return Status::FromErrno(errno, "jitdump");
  if (!S_ISREG(info.st_mode)) {
    return Status(StatusCode::kInvalid, "jitdump: not a regular file");
  }
  Header header{};
  size_t got = 0;
  RETURN_IF_ERROR(ReadAt(fd, 0, header, &got));
  if (got < header.size()) {
    *this = JitDump();
    return Status(StatusCode::kInvalid, "jitdump: it has no header yet");
  }
  auto size = static_cast<uint64_t>(info.st_size);
  if (info.st_dev != device_ || info.st_ino != inode_ || size < offset_ ||
      header != header_) {
    *this = JitDump();
    header_ = header;
    device_ = info.st_dev;
    inode_ = info.st_ino;
    problem_ = Start(header);
  }
  file_size_ = size;
  if (!problem_.ok()) return problem_;
  Window window(fd);
  problem_ = ReadRecords(window);
  return problem_.ok() ? window.status() : problem_;
}

Status JitDump::Start(const Header& header) {
  ByteReader reader(header);
  uint32_t magic = reader.U32();
  uint32_t version = reader.U32();
  uint32_t size = reader.U32();
  reader.U32();  // architecture
  is_v8_ = reader.U32() == kV8Padding;
  if (magic == kSwappedMagic) {
    return Status(StatusCode::kInvalid, "jitdump: of another byte order");
  }
  if (magic != kMagic) {
    return Status(StatusCode::kInvalid, "jitdump: no jitdump");
  }
  if (version != kVersion) {
    return Status(
        StatusCode::kInvalid,
        "jitdump: version " + std::to_string(version) + " where 1 is known");
  }
  if (size < kHeaderBytes || size > kMaxHeaderBytes) {
    return Status(StatusCode::kInvalid, "jitdump: its header makes no sense");
  }
  offset_ = size;
  return Status::Ok();
}

Status JitDump::ReadRecords(Window& window) {
  for (uint64_t records = 0; records < kMaxRecords; ++records) {
    if (window.bytes_read() >= kMaxReadBytes) break;
    ByteReader reader(window.At(offset_, kRecordBytes));
    Record record{
        .type = reader.U32(), .size = reader.U32(), .offset = offset_};
    reader.U64();  // timestamp
    // One that is cut is still being written.
    if (!reader.ok() || record.size > file_size_ - offset_) break;
    if (record.size < kRecordBytes) {
      return Status(StatusCode::kCorrupt,
                    "jitdump: a record of " + std::to_string(record.size) +
                        " bytes, after which nothing is read");
    }
    if (!ReadRecord(window, record)) ++malformed_;
    offset_ += record.size;
  }
  return Status::Ok();
}

bool JitDump::ReadRecord(Window& window, const Record& record) {
  switch (record.type) {
    case kLoad: {
      bool is_good = ReadLoad(window, record);
      lines_record_.clear();
      return is_good;
    }
    case kMove:
      return ReadMove(window, record);
    case kLines:
      return ReadLines(window, record);
    default:  // the end, unwind rows, or of a later version
      return true;
  }
}

bool JitDump::ReadLoad(Window& window, const Record& record) {
  constexpr size_t kFixedBytes = 40;
  size_t size = std::min<size_t>(record.size - kRecordBytes,
                                 kFixedBytes + kMaxNameBytes + 1);
  auto bytes = window.At(record.offset + kRecordBytes, size);
  ByteReader reader(bytes);
  reader.Skip(16);  // process, thread, and the address once more
  JitCodeMap::Code code;
  code.start = reader.U64();
  code.size = reader.U64();
  code.index = reader.U64();
  if (!reader.ok() || code.size > UINT64_MAX - code.start) return false;
  auto text = bytes.subspan(kFixedBytes);
  std::string_view name(reinterpret_cast<const char*>(text.data()),
                        text.size());
  size_t end = name.find('\0');
  // Only one that is longer than what was read may lack its end.
  if (end == std::string_view::npos && text.size() <= kMaxNameBytes) {
    return false;
  }
  // The window moves no further: the name stays where it is.
  code.name = name.substr(0, std::min(end, kMaxNameBytes));
  if (code.name.empty()) return false;
  code_.Load(code, LinesOf(code.start, code.size, code.name));
  return true;
}

bool JitDump::ReadMove(Window& window, const Record& record) {
  constexpr size_t kFixedBytes = 48;
  ByteReader reader(
      window.At(record.offset + kRecordBytes,
                std::min<size_t>(record.size - kRecordBytes, kFixedBytes)));
  reader.Skip(16);  // process, thread, and the address once more
  uint64_t from = reader.U64();
  uint64_t to = reader.U64();
  reader.U64();  // size, which does not change
  uint64_t index = reader.U64();
  return reader.ok() && code_.Move(index, from, to);
}

bool JitDump::ReadLines(Window& window, const Record& record) {
  size_t size = std::min<size_t>(record.size - kRecordBytes, kMaxLineBytes);
  if (size < record.size - kRecordBytes) ++cut_;
  auto bytes = window.At(record.offset + kRecordBytes, size);
  lines_record_.assign(bytes.begin(), bytes.end());
  return bytes.size() == size;
}

std::vector<JitCodeMap::Line> JitDump::LinesOf(uint64_t start, uint64_t size,
                                               std::string_view name) const {
  std::vector<JitCodeMap::Line> lines;
  JitDumpLines record = ParseJitDumpLines(lines_record_);
  if (record.code_address != start) return lines;
  bool has_bias =
      is_v8_ && std::all_of(record.entries.begin(), record.entries.end(),
                            [&](const JitLineEntry& entry) {
                              return entry.address - start >= kV8LineBias;
                            });
  auto v8_name = ParseV8Name(name);
  for (const JitLineEntry& entry : record.entries) {
    uint64_t offset = entry.address - start - (has_bias ? kV8LineBias : 0);
    if (offset >= size || offset > UINT32_MAX) continue;
    JitCodeMap::Line line{.offset = static_cast<uint32_t>(offset),
                          .line = entry.line,
                          .file = entry.file};
    if (IsOverwritten(entry.file)) {
      // The function's own file, if what is left of the name says so.
      std::string_view own = v8_name ? v8_name->file : std::string_view();
      size_t lost = std::min(own.size(), kOverwrittenBytes);
      bool is_own = !own.empty() && own.size() == entry.file.size() &&
                    own.substr(lost) == entry.file.substr(lost);
      line.file = is_own ? own : std::string_view();
      if (!is_own) line.line = 0;
    }
    lines.push_back(line);
  }
  std::stable_sort(lines.begin(), lines.end(),
                   [](const JitCodeMap::Line& a, const JitCodeMap::Line& b) {
                     return a.offset < b.offset;
                   });
  return lines;
}

std::vector<std::string> JitDump::Report() const {
  std::vector<std::string> report;
  report.push_back("jitdump: " + std::to_string(function_count()) +
                   " functions, " + std::to_string(code_.count_with_lines()) +
                   " with lines");
  auto add = [&](uint64_t count, const char* what) {
    if (count > 0) {
      report.push_back("jitdump: " + std::to_string(count) + what);
    }
  };
  if (!problem_.ok()) report.push_back(problem_.message());
  add(code_.forgotten_count(), " older functions forgotten for want of memory");
  add(malformed_, " records make no sense");
  add(cut_, " records of lines are too long to be read whole");
  if (problem_.ok() && offset_ > 0) {
    add(file_size_ - offset_, " bytes not read yet");
  }
  return report;
}

}  // namespace pprofd
