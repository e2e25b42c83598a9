// SampleCollector: the rows of an aggregate as sequences of locations.
//
// Decides what a profile shows: which address space, which frames, which
// labels, and how lost samples appear.
// Owns: address space, locations, samples, copies of process descriptions.
// Borrows: ModuleProvider, ProcessSource; aggregate and options for the
// call. Thread: one thread.
#ifndef DAEMON_PROFILE_SAMPLE_COLLECTOR_H_
#define DAEMON_PROFILE_SAMPLE_COLLECTOR_H_

#include <absl/container/flat_hash_map.h>

#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "daemon/model/aggregate.h"
#include "daemon/profile/address_space.h"
#include "daemon/profile/location_table.h"
#include "daemon/profile/profile_builder.h"
#include "daemon/profile/sample_set.h"

namespace pprofd {

// Lost samples that a profile shows as a sample. Of one process, only those
// that were certainly its own.
int64_t CountOwnLosses(const Aggregate& aggregate, bool is_whole_host);

class SampleCollector {
 public:
  SampleCollector(ModuleProvider& modules, ProcessSource& processes)
      : processes_(processes), space_(modules), locations_(space_) {}

  void Collect(const Aggregate& aggregate, const ProfileMeta& meta,
               const RenderOptions& options);

  AddressSpace& space() { return space_; }
  LocationTable& locations() { return locations_; }
  SampleSet& samples() { return samples_; }

 private:
  // Labels that were asked for.
  struct Shown {
    bool pid = false;
    bool comm = false;
    bool thread = false;
    bool tid = false;
    bool cpu = false;
    bool cgroup = false;
  };

  const ProcessInfo* FindProcess(const ProcessKey& key);
  void ChooseAddressSpace(const Aggregate& aggregate, const ProfileMeta& meta);
  uint32_t SequenceOf(const Aggregate& aggregate, const AggregateRow& row,
                      bool include_kernel);
  SampleLabels LabelsOf(const AggregateRow& row, const Shown& shown,
                        bool is_whole_host);
  void AddLosses(int64_t count, int64_t period);
  void Weigh(const SampleSet::Sample& sample);

  ProcessSource& processes_;
  AddressSpace space_;
  LocationTable locations_;
  SampleSet samples_;
  absl::flat_hash_map<ProcessKey, std::optional<ProcessInfo>> process_cache_;
  // A stack, with its process when it runs code without a file.
  absl::flat_hash_map<std::pair<uint32_t, ProcessKey>, uint32_t> sequences_;
};

}  // namespace pprofd

#endif  // DAEMON_PROFILE_SAMPLE_COLLECTOR_H_
