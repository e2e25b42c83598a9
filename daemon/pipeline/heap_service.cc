#include "daemon/pipeline/heap_service.h"

#include <fmt/format.h>

#include <utility>

#include "daemon/process/memory_stats.h"
#include "daemon/profile/heap_aggregate.h"
#include "daemon/profile/heap_text_encoder.h"

namespace pprofd {
namespace {

double Seconds(BootTime from, BootTime to) {
  return static_cast<double>(to.ns - from.ns) / 1e9;
}

}  // namespace

class HeapService::LocalWatch : public HeapWatch {
 public:
  LocalWatch(HeapManager::SessionRef session, HeapSnapshot before, bool is_new)
      : HeapWatch(is_new),
        session_(std::move(session)),
        before_(std::move(before)) {}

  HeapManager::Session& session() const { return *session_; }
  const HeapSnapshot& before() const { return before_; }

 private:
  const HeapManager::SessionRef session_;
  const HeapSnapshot before_;
};

Result<std::unique_ptr<HeapWatch>> HeapService::Watch(
    const HeapRequest& request) {
  bool is_new = false;
  ASSIGN_OR_RETURN(
      HeapManager::SessionRef session,
      parts_.heap.Watch(request.pid, request.period_bytes, &is_new));
  HeapSnapshot before = parts_.heap.Snapshot(*session);
  return std::unique_ptr<HeapWatch>(std::make_unique<LocalWatch>(
      std::move(session), std::move(before), is_new));
}

bool HeapService::TargetExited(const HeapWatch& watch) const {
  return parts_.heap.HasExited(static_cast<const LocalWatch&>(watch).session());
}

uint64_t HeapService::CountRecords(int32_t pid) const {
  return parts_.heap.CountRecords(pid);
}

HeapSnapshot HeapService::Read(const LocalWatch& watch,
                               const HeapView& view) const {
  if (view.range) {
    return parts_.heap.Between(watch.session(),
                               parts_.clock.ToBoot(view.range->first),
                               parts_.clock.ToBoot(view.range->second));
  }
  HeapSnapshot now = parts_.heap.Snapshot(watch.session());
  return view.is_delta ? Difference(watch.before(), std::move(now)) : now;
}

// A process that was never sampled is known to /proc only.
std::string HeapService::NameOf(const ProcessKey& key) const {
  std::string comm, exe;
  if (auto info = parts_.processes.Find(key)) {
    comm = info->comm;
    exe = info->exe;
  } else if (auto dir = ProcessDir::Open(kProcRoot, key); dir.ok()) {
    comm = dir->stat().comm;
    if (Result<std::string> path = dir->ReadExe(); path.ok()) exe = *path;
  }
  return fmt::format("pid {} comm={} exe={}", key.pid, comm, exe);
}

std::vector<std::string> HeapService::Comment(const HeapSnapshot& snapshot,
                                              const HeapView& view) const {
  std::vector<std::string> comments;
  comments.push_back(NameOf(snapshot.process));
  comments.push_back(parts_.host);
  comments.push_back("heap_source: " + snapshot.source);
  if (view.is_delta || view.range) {
    comments.push_back(fmt::format("what changed in {:.1f} s",
                                   Seconds(snapshot.since, snapshot.time)));
  } else {
    comments.push_back(
        fmt::format("tracking began {:.1f} s before: blocks allocated earlier "
                    "are not known",
                    Seconds(snapshot.since, snapshot.time)));
    if (snapshot.has_inuse && snapshot.inuse_since > snapshot.since) {
      comments.push_back(
          fmt::format("inuse_*: of blocks allocated in the last {:.1f} s",
                      Seconds(snapshot.inuse_since, snapshot.time)));
    }
  }
  for (const std::string& note : snapshot.notes) comments.push_back(note);
  if (!snapshot.has_inuse) comments.push_back("inuse_*: not available");
  if (snapshot.process_exited) {
    comments.push_back("the process exited during the capture");
  }
  return comments;
}

Result<EncodedProfile> HeapService::Render(const HeapWatch& watch,
                                           const HeapView& view,
                                           const RenderOptions& options) {
  HeapSnapshot snapshot = Read(static_cast<const LocalWatch&>(watch), view);
  ProfileRenderer::Subject subject;
  subject.kind = view.kind;
  subject.process = snapshot.process;
  subject.moment = snapshot.time;
  subject.period = static_cast<int64_t>(
      snapshot.records.empty() ? snapshot.period_bytes
                               : snapshot.records.back().period_bytes);
  subject.comments = Comment(snapshot, view);
  EncodedProfile encoded;
  if (view.is_text) {
    encoded.body = RenderText(snapshot, std::move(subject), options);
  } else {
    Aggregate aggregate = AggregateHeap(snapshot, HeapScale::kUnsampled);
    if (view.is_delta || view.range) aggregate.start = snapshot.since;
    ASSIGN_OR_RETURN(encoded, parts_.renderer.Render(
                                  aggregate, std::move(subject), options));
  }
  encoded.process_exited = snapshot.process_exited;
  return encoded;
}

std::string HeapService::RenderText(const HeapSnapshot& snapshot,
                                    ProfileRenderer::Subject subject,
                                    const RenderOptions& options) {
  std::optional<uint64_t> period =
      snapshot.records.empty() ? snapshot.period_bytes : CommonPeriod(snapshot);
  RenderOptions full = options;
  full.demangle = DemangleStyle::kFull;
  Profile profile = parts_.renderer.Build(
      AggregateHeap(snapshot,
                    period ? HeapScale::kAsSampled : HeapScale::kUnsampled),
      std::move(subject), full);
  HeapTextTrailer trailer;
  trailer.totals = snapshot.totals;
  trailer.frees = FreesBySize(snapshot);
  if (snapshot.has_inuse) {
    LiveHeap live;
    for (const AggregateRow& row :
         AggregateHeap(snapshot, HeapScale::kUnsampled).rows) {
      live.objects += static_cast<uint64_t>(row.values[2]);
      live.bytes += static_cast<uint64_t>(row.values[3]);
    }
    trailer.live = live;
  }
  Result<ProcessDir> process = ProcessDir::Open(kProcRoot, snapshot.process);
  if (process.ok()) {
    if (Result<MemoryStats> memory = ReadMemoryStats(*process); memory.ok()) {
      trailer.memory = std::move(*memory);
    }
    if (Result<std::string> maps = ReadExecutableMaps(*process); maps.ok()) {
      trailer.executable_maps = std::move(*maps);
    }
  }
  return EncodeHeapText(profile, period.value_or(1), trailer);
}

}  // namespace pprofd
