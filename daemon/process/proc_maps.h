// ProcMaps: the executable mappings in the text of /proc/PID/maps.
//
// A process writes much of this text itself (file names, mapping names, the
// number of lines), so it is hostile input: read as a stream, one line at a
// time, and only what is executable is kept.
// Thread: values; a ProcMapsParser belongs to one thread.
// Bound: kMaxProcMappings mappings and kMaxPathBytes bytes of paths are kept,
//   kMaxLines lines are looked at; what is beyond is left out and is_cut says
//   so. A line longer than kMaxLineBytes counts as malformed.
#ifndef DAEMON_PROCESS_PROC_MAPS_H_
#define DAEMON_PROCESS_PROC_MAPS_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "daemon/base/status.h"
#include "daemon/model/ids.h"

namespace pprofd {

inline constexpr size_t kMaxProcMappings = 65'536;

// One executable line.
struct ProcMapping {
  VirtualAddr start;
  VirtualAddr limit;
  FileOffset offset;
  // As the file system reports them: overlayfs and btrfs show another device
  // here than the kernel half sees in pprofd_file_key.
  uint32_t device_major = 0;
  uint32_t device_minor = 0;
  uint64_t inode = 0;  // 0 without a file
  // "/usr/bin/x", "/memfd:name", "[vdso]", "" for anonymous memory; newlines
  // unescaped, " (deleted)" removed.
  std::string path;
  bool is_deleted = false;

  bool is_file() const { return path.starts_with('/'); }
  bool is_vdso() const { return path == "[vdso]"; }
};

struct ProcMaps {
  std::vector<ProcMapping> mappings;  // in the order of the text: by address
  uint64_t line_count = 0;
  uint64_t malformed_count = 0;  // lines that make no sense, skipped
  bool is_cut = false;

  // The mapping that covers `address`, or null. Valid as long as this object.
  const ProcMapping* Find(VirtualAddr address) const;
};

// Takes the text in pieces of any size.
class ProcMapsParser {
 public:
  static constexpr size_t kMaxLineBytes = 32 << 10;
  static constexpr size_t kMaxPathBytes = 8 << 20;
  static constexpr uint64_t kMaxLines = 4 << 20;

  void Feed(std::string_view text);
  bool is_full() const { return maps_.is_cut; }  // more text changes nothing
  // Ends the last line and returns what was found; the parser is spent.
  ProcMaps Finish();

 private:
  void FeedLine(std::string_view line);

  ProcMaps maps_;
  std::string partial_line_;
  size_t path_bytes_ = 0;
  bool skips_to_newline_ = false;
};

// Pure.
ProcMaps ParseProcMaps(std::string_view text);

// Reads /proc/PID/maps from its current position to its end through `fd`,
// borrowed, holding one 64 KiB piece at a time. Gone: the process left.
Result<ProcMaps> ReadProcMaps(int fd);

// Removes the kernel's mark of an unlinked file; true when it was there.
bool RemoveDeletedMark(std::string* path);

}  // namespace pprofd

#endif  // DAEMON_PROCESS_PROC_MAPS_H_
