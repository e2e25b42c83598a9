#include "daemon/profile/heap_text_encoder.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <numeric>
#include <string_view>
#include <utility>
#include <vector>

#include "daemon/profile/text_records.h"

namespace pprofd {
namespace {

constexpr int kPauses = 256;  // of Go's garbage collector

struct Values {
  int64_t alloc_objects = 0;
  int64_t alloc_bytes = 0;
  int64_t inuse_objects = 0;
  int64_t inuse_bytes = 0;
};

int64_t SumOf(int64_t a, int64_t b) {
  int64_t sum = 0;
  if (!__builtin_add_overflow(a, b, &sum)) return sum;
  return a < 0 ? INT64_MIN : INT64_MAX;
}

// pprof takes neither negative allocations nor bytes without a block.
Values ValuesOf(const ProfileSample& sample) {
  Values values{sample.values[0], sample.values[1], sample.values[2],
                sample.values[3]};
  if (values.alloc_objects <= 0 || values.alloc_bytes < 0) {
    values.alloc_objects = values.alloc_bytes = 0;
  }
  if (values.inuse_objects == 0) values.inuse_bytes = 0;
  return values;
}

std::string_view WordOf(HeapFrees::Quality quality) {
  switch (quality) {
    case HeapFrees::Quality::kUnknown:
      return "unknown";
    case HeapFrees::Quality::kPartial:
      return "partial";
    case HeapFrees::Quality::kEstimated:
      return "estimated";
    case HeapFrees::Quality::kCounted:
      return "counted";
  }
  return "";
}

class Encoder {
 public:
  Encoder(const Profile& profile, uint64_t period_bytes)
      : profile_(profile), period_bytes_(std::max<uint64_t>(period_bytes, 1)) {
    values_.reserve(profile.samples.size());
    for (const ProfileSample& sample : profile.samples) {
      values_.push_back(ValuesOf(sample));
    }
  }

  std::string Run(const HeapTextTrailer& trailer) {
    AppendHeader();
    for (size_t sample : Order()) AppendRecord(sample);
    AppendGoFigures(trailer);
    if (trailer.memory) {
      for (const MemoryFigure& figure : trailer.memory->figures) {
        Print("# proc.{} = {}\n", figure.name, figure.value);
      }
    }
    AppendSizes(trailer);
    AppendMemoryMap(trailer.executable_maps, text_);
    return std::move(text_);
  }

 private:
  template <typename... Arguments>
  void Print(fmt::format_string<Arguments...> format,
             Arguments&&... arguments) {
    fmt::format_to(std::back_inserter(text_), format,
                   std::forward<Arguments>(arguments)...);
  }
  std::string_view Text(StringIndex index) const {
    return profile_.strings[index];
  }

  void AppendHeader() {
    Values total;
    for (const Values& values : values_) {
      total.alloc_objects = SumOf(total.alloc_objects, values.alloc_objects);
      total.alloc_bytes = SumOf(total.alloc_bytes, values.alloc_bytes);
      total.inuse_objects = SumOf(total.inuse_objects, values.inuse_objects);
      total.inuse_bytes = SumOf(total.inuse_bytes, values.inuse_bytes);
    }
    // Of a difference they may be negative, which the format does not know.
    auto inuse_objects = std::max<int64_t>(total.inuse_objects, 0);
    auto inuse_bytes = std::max<int64_t>(total.inuse_bytes, 0);
    // When the two agree, or nothing is allocated, pprof takes all records to
    // be without allocations.
    auto alloc_bytes = static_cast<uint64_t>(total.alloc_bytes);
    while (alloc_bytes == 0 ||
           alloc_bytes == static_cast<uint64_t>(inuse_bytes)) {
      ++alloc_bytes;
    }
    Print("heap profile: {}: {} [{}: {}] @ heap/{}\n", inuse_objects,
          inuse_bytes, total.alloc_objects, alloc_bytes,
          2 * std::min(period_bytes_, uint64_t{INT64_MAX} / 2));
  }

  // The samples, biggest first.
  std::vector<size_t> Order() const {
    std::vector<size_t> order(values_.size());
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(), [this](size_t a, size_t b) {
      const Values& left = values_[a];
      const Values& right = values_[b];
      if (left.inuse_bytes != right.inuse_bytes) {
        return left.inuse_bytes > right.inuse_bytes;
      }
      return left.alloc_bytes > right.alloc_bytes;
    });
    return order;
  }

  void AppendRecord(size_t sample) {
    const Values& values = values_[sample];
    Print("{}: {} [{}: {}] @", values.inuse_objects, values.inuse_bytes,
          values.alloc_objects, values.alloc_bytes);
    AppendStack(profile_, profile_.samples[sample], text_);
  }

  void AppendPauses(std::string_view key) {
    Print("# {} = [0", key);
    for (int i = 1; i < kPauses; ++i) text_ += " 0";
    text_ += "]\n";
  }

  void AppendGoFigures(const HeapTextTrailer& trailer) {
    MemoryStats memory = trailer.memory.value_or(MemoryStats());
    LiveHeap live = trailer.live.value_or(LiveHeap{0, memory.heap_inuse});
    uint64_t idle =
        memory.heap_sys - std::min(memory.heap_inuse, memory.heap_sys);
    Print("\n# runtime.MemStats\n");
    Print("# Alloc = {}\n# TotalAlloc = {}\n# Sys = {}\n# Lookups = 0\n",
          live.bytes, trailer.totals.alloc_bytes, memory.sys);
    Print("# Mallocs = {}\n# Frees = {}\n", trailer.totals.allocs,
          trailer.totals.frees);
    Print("# HeapAlloc = {}\n# HeapSys = {}\n# HeapIdle = {}\n", live.bytes,
          memory.heap_sys, idle);
    Print("# HeapInuse = {}\n# HeapReleased = {}\n# HeapObjects = {}\n",
          memory.heap_inuse, idle, live.objects);
    Print("# Stack = {} / {}\n", memory.stack_inuse, memory.stack_sys);
    Print("# MSpan = 0 / 0\n# MCache = 0 / 0\n# BuckHashSys = 0\n");
    Print("# GCSys = 0\n# OtherSys = {}\n", memory.other_sys);
    Print("# NextGC = 0\n# LastGC = 0\n");
    AppendPauses("PauseNs");
    AppendPauses("PauseEnd");
    Print("# NumGC = 0\n# NumForcedGC = 0\n# GCCPUFraction = 0\n");
    Print("# DebugGC = false\n# MaxRSS = {}\n", memory.max_rss);
  }

  // Sizes that were never asked for are left out.
  void AppendSizes(const HeapTextTrailer& trailer) {
    const auto& allocs = trailer.totals.allocs_by_size;
    const auto& frees = trailer.frees.by_size;
    if (allocs == decltype(HeapTotals::allocs_by_size)()) return;
    bool knows_frees = trailer.frees.quality != HeapFrees::Quality::kUnknown;
    Print("# proc.BySizeFrees = {}\n", WordOf(trailer.frees.quality));
    for (uint32_t i = 0; i < PPROFD_HEAP_SIZE_CLASSES; ++i) {
      if (allocs[i] == 0 && frees[i] == 0) continue;
      Print("# proc.BySize[{}-{}] = {} {}\n", pprofd_size_class_first(i),
            pprofd_size_class_last(i), allocs[i],
            knows_frees ? std::to_string(frees[i]) : "-");
    }
  }

  const Profile& profile_;
  const uint64_t period_bytes_;
  std::vector<Values> values_;  // by sample
  std::string text_;
};

}  // namespace

std::string EncodeHeapText(const Profile& profile, uint64_t period_bytes,
                           const HeapTextTrailer& trailer) {
  return Encoder(profile, period_bytes).Run(trailer);
}

}  // namespace pprofd
