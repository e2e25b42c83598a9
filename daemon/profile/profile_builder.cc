#include "daemon/profile/profile_builder.h"

#include <algorithm>

#include "daemon/profile/location_names.h"
#include "daemon/profile/profile_comments.h"
#include "daemon/profile/profile_size_limit.h"
#include "daemon/profile/profile_tables.h"
#include "daemon/profile/sample_collector.h"

namespace pprofd {
namespace {

NamingOutcome Outcome(const LocationTable& table, const LocationNames& names,
                      SymbolSource::Deadline deadline) {
  auto own = std::count_if(
      table.locations().begin(), table.locations().end(),
      [](const RawLocation& location) { return !location.own_text.empty(); });
  return {.locations = table.locations().size() - static_cast<size_t>(own),
          .unresolved = names.unresolved,
          .is_late = names.unresolved > 0 &&
                     std::chrono::steady_clock::now() >= deadline,
          .problems = names.problems,
          .problems_left_out = names.problems_left_out};
}

}  // namespace

AggregateFields FieldsFor(const RenderOptions& options) {
  AggregateFields fields;
  for (const std::string& label : options.labels) {
    fields.tid |= label == "tid";
    fields.comm |= label == "comm" || label == "thread";
    fields.cpu |= label == "cpu";
    fields.cgroup |= label == "cgroup";
  }
  return fields;
}

Profile ProfileBuilder::Build(const Aggregate& aggregate,
                              const ProfileMeta& meta,
                              const RenderOptions& options) const {
  SampleCollector collector(modules_, processes_);
  collector.Collect(aggregate, meta, options);
  const LocationTable& table = collector.locations();
  LocationNames names =
      NameLocations(table, collector.space(), symbols_, options.demangle,
                    meta.symbolize_deadline);

  ProfileTables tables;
  tables.SetKind(Describe(meta.kind), meta.period);
  tables.AddMappings(collector.space(), names, table.locations());
  collector.samples().Canonicalize(
      tables.AddLocations(table.locations(), names));
  tables.AddSamples(collector.samples());
  for (const std::string& line : meta.comments) tables.AddComment(line);
  bool is_whole_host = !meta.process.has_value();
  for (const std::string& line :
       DescribeQuality(aggregate, meta.kind, is_whole_host,
                       Outcome(table, names, meta.symbolize_deadline))) {
    tables.AddComment(line);
  }
  Profile profile = std::move(tables).Take();
  profile.time_ns = meta.start.ns;
  profile.duration_ns = meta.duration_ns;
  if (is_whole_host) LimitSize(profile, SizeLimit());
  return profile;
}

}  // namespace pprofd
