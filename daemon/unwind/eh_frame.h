// EhFrame: the bytes of .eh_frame or .debug_frame as sorted functions.
//
// One pass over the section: every CIE is parsed and its program run once,
// every FDE becomes a reference of 32 bytes; only the references are sorted.
// What cannot be understood is left out and counted, so that one odd record
// does not cost a module its stacks. Owns: CIEs and references. Borrows: the
// section's bytes. Thread: immutable. Bound: linear in the section's bytes;
// kMaxFdes, kMaxCies; longer records than kMaxCieBytes and kMaxFdeBytes are
// left out. Fails: Unsupported for a section above CfiSection::kMaxBytes.
#ifndef DAEMON_UNWIND_EH_FRAME_H_
#define DAEMON_UNWIND_EH_FRAME_H_

#include <cstdint>
#include <optional>
#include <unordered_map>
#include <vector>

#include "daemon/base/status.h"
#include "daemon/unwind/cfi.h"
#include "daemon/unwind/cfi_reader.h"

namespace pprofd {

// Reads a pointer in a DW_EH_PE_* encoding. None when it is omitted, indirect
// or of an unknown form; the reader is failed when bytes are missing or the
// size of the pointer is unknown.
std::optional<uint64_t> ReadEncodedPointer(CfiReader& reader, uint8_t encoding,
                                           const CfiSection& section);

class EhFrame {
 public:
  static constexpr size_t kMaxFdes = 8u << 20;
  static constexpr size_t kMaxCies = 1u << 17;
  static constexpr size_t kMaxCieBytes = 4096;      // they may overlap
  static constexpr size_t kMaxFdeBytes = 1u << 20;  // run for each frame

  static Result<EhFrame> Parse(const CfiSection& section);

  const CfiSection& section() const { return section_; }
  // Sorted by start; may overlap when the file is odd.
  const std::vector<Fde>& fdes() const { return fdes_; }
  const Cie& cie(const Fde& fde) const { return cies_[fde.cie]; }
  size_t skipped_records() const { return skipped_records_; }

  // The last function that starts at or below the module address and reaches
  // beyond it, or null.
  const Fde* Find(uint64_t address) const;

 private:
  struct Record;

  explicit EhFrame(const CfiSection& section) : section_(section) {}

  static constexpr uint32_t kNoCie = UINT32_MAX;

  bool ReadRecord(CfiReader& reader, Record* record) const;
  // kNoCie: there are too many.
  uint32_t FindCie(uint32_t position);
  Cie ParseCie(const Record& record) const;
  bool ParseAugmentation(CfiReader& reader, std::span<const uint8_t> letters,
                         Cie* cie) const;
  void AddFde(const Record& record);
  void SortFdes();

  CfiSection section_;
  std::vector<Cie> cies_;
  std::vector<Fde> fdes_;
  std::unordered_map<uint32_t, uint32_t> cie_by_position_;
  uint32_t last_cie_position_ = UINT32_MAX;
  uint32_t last_cie_ = 0;
  size_t skipped_records_ = 0;
};

}  // namespace pprofd

#endif  // DAEMON_UNWIND_EH_FRAME_H_
