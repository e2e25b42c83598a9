// ProfileTables: collected samples, locations and names as a Profile's tables.
//
// Gives every table its canonical order: mappings by kind and start behind the
// main executable, locations by mapping and address, functions and strings by
// first use, samples by stack and labels.
// Owns: the profile in the making. Borrows: its arguments, for a call.
// Thread: one thread.
#ifndef DAEMON_PROFILE_PROFILE_TABLES_H_
#define DAEMON_PROFILE_PROFILE_TABLES_H_

#include <absl/container/flat_hash_map.h>

#include <cstdint>
#include <string_view>
#include <tuple>
#include <vector>

#include "daemon/model/profile.h"
#include "daemon/model/profile_kind.h"
#include "daemon/profile/location_names.h"
#include "daemon/profile/location_table.h"
#include "daemon/profile/sample_set.h"
#include "daemon/profile/string_table.h"

namespace pprofd {

class ProfileTables {
 public:
  // Sample types, period type and defaults.
  void SetKind(const ProfileKindInfo& kind, int64_t period);
  void AddComment(std::string_view text);

  void AddMappings(const AddressSpace& space, const LocationNames& names,
                   const std::vector<RawLocation>& locations);
  // REQUIRES: AddMappings. Answers the new index of every location.
  std::vector<uint32_t> AddLocations(const std::vector<RawLocation>& locations,
                                     const LocationNames& names);
  // REQUIRES: `samples` renamed by AddLocations's answer.
  void AddSamples(const SampleSet& samples);

  Profile Take() &&;

 private:
  ProfileValueType Add(const ValueType& type);
  uint32_t FunctionIndex(const SymbolLine& line);
  std::vector<ProfileLabel> Labels(const SampleLabels& labels);

  Profile profile_;
  StringTable strings_;
  std::vector<uint32_t> mapping_index_;  // by mapping of the AddressSpace
  absl::flat_hash_map<
      std::tuple<StringIndex, StringIndex, StringIndex, int64_t>, uint32_t>
      function_index_;
};

}  // namespace pprofd

#endif  // DAEMON_PROFILE_PROFILE_TABLES_H_
