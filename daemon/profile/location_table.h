// LocationTable: the places in code that a profile is made of.
//
// One entry per mapping and address; code without a file is kept apart by
// process, too, since two processes may use one address for different code.
// Owns: the entries. Borrows: AddressSpace.
// Thread: one thread.
// Bound: the distinct frames of the aggregate.
#ifndef DAEMON_PROFILE_LOCATION_TABLE_H_
#define DAEMON_PROFILE_LOCATION_TABLE_H_

#include <absl/container/flat_hash_map.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "daemon/model/frame.h"
#include "daemon/profile/address_space.h"

namespace pprofd {

struct RawLocation {
  AddressSpace::Place place;
  ProcessKey process;    // of code without a file, else empty
  std::string own_text;  // of pprofd's own locations
  int64_t weight = 0;    // samples that pass through
};

class LocationTable {
 public:
  explicit LocationTable(AddressSpace& space) : space_(space) {}

  // The location of a frame of `process`. REQUIRES: frame.kind() is valid.
  uint32_t Intern(const ProcessKey& process, Frame frame);
  // The location that shows a text of pprofd's own, such as
  // "[lost samples]".
  uint32_t InternText(std::string_view text);

  std::vector<RawLocation>& locations() { return locations_; }
  const std::vector<RawLocation>& locations() const { return locations_; }

 private:
  struct Key {
    uint32_t mapping = 0;
    uint64_t address = 0;
    ProcessKey process;
    bool operator==(const Key&) const = default;
    template <typename H>
    friend H AbslHashValue(H h, const Key& key) {
      return H::combine(std::move(h), key.mapping, key.address, key.process);
    }
  };

  uint32_t InternReason(Frame frame);
  uint32_t InternPlace(const AddressSpace::Place& place,
                       const ProcessKey& process);

  AddressSpace& space_;
  std::vector<RawLocation> locations_;
  absl::flat_hash_map<Key, uint32_t> by_place_;
  // Shortcut: a frame, with its process where that matters.
  absl::flat_hash_map<std::pair<Frame, ProcessKey>, uint32_t> by_frame_;
};

}  // namespace pprofd

#endif  // DAEMON_PROFILE_LOCATION_TABLE_H_
