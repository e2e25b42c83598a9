#include <algorithm>
#include <deque>
#include <functional>
#include <numeric>
#include <queue>
#include <ranges>
#include <tuple>
#include <unordered_set>

#include "ledger.h"

namespace ledger {

// Members of a local class of a template; static members; a nested template.
template <typename T>
class Histogram {
 public:
  void Add(T value) { ++counts_[Bucket(value)]; }
  template <template <typename...> class List = std::vector>
  List<std::pair<T, int>> Top(size_t n) const {
    struct ByCount {
      bool operator()(const std::pair<T, int>& a,
                      const std::pair<T, int>& b) const {
        return std::tie(a.second, a.first) > std::tie(b.second, b.first);
      }
    };
    List<std::pair<T, int>> all(counts_.begin(), counts_.end());
    std::sort(all.begin(), all.end(), ByCount());
    all.resize(std::min(n, all.size()));
    return all;
  }

 private:
  static T Bucket(T value) { return value - value % kWidth; }
  static constexpr T kWidth = 16;
  std::map<T, int> counts_;
};

namespace {

template <size_t... kIndexes>
uint64_t Mix(std::index_sequence<kIndexes...>, uint64_t seed) {
  return ((seed * (kIndexes + 3) ^ seed >> (kIndexes + 1)) + ...);
}

template <int kDepth>
[[gnu::always_inline]] inline uint64_t Descend(uint64_t value) {
  if constexpr (kDepth == 0) {
    return value ^ 0x5bd1e995;
  } else {
    uint64_t below = Descend<kDepth - 1>(value + kDepth);
    return value % 3 == 0 ? below * kDepth : below + kDepth;
  }
}

uint64_t Helper(uint64_t value) {
  return Mix(std::make_index_sequence<8>(), Descend<6>(value));
}

struct Later {
  bool operator()(const std::pair<int, Cents>& a,
                  const std::pair<int, Cents>& b) const {
    return a.first > b.first;
  }
};

uint64_t Drain(std::priority_queue<std::pair<int, Cents>,
                                   std::vector<std::pair<int, Cents>>, Later>
                   queue) {
  uint64_t sum = 0;
  for (; !queue.empty(); queue.pop()) {
    sum = sum * 33 + Helper(queue.top().second.value + queue.top().first);
  }
  return sum;
}

}  // namespace

uint64_t RunQueries(std::map<std::string, std::vector<Cents>>& books) {
  Histogram<int64_t> histogram;
  Histogram<uint32_t> narrow;
  Cache<std::string, size_t, 13> cache;
  std::deque<int64_t> recent;
  std::unordered_set<int64_t> seen;
  std::priority_queue<std::pair<int, Cents>, std::vector<std::pair<int, Cents>>,
                      Later>
      queue;
  uint64_t sum = 0;
  for (auto& [name, values] : books) {
    sum += cache.Get(name, [](const std::string& key) {
      return ledger_checksum(key.data(), key.size());
    });
    auto large = values |
                 std::views::filter([](Cents c) { return c > Cents{50}; }) |
                 std::views::transform([](Cents c) { return c.value; });
    for (int64_t value : large) {
      histogram.Add(value);
      narrow.Add(static_cast<uint32_t>(value));
      recent.push_front(value);
      if (recent.size() > 100) recent.pop_back();
      if (seen.insert(value).second) {
        queue.emplace(static_cast<int>(value % 97), Cents{value});
      }
    }
    std::nth_element(values.begin(), values.begin() + values.size() / 2,
                     values.end());
    std::rotate(values.begin(), values.begin() + values.size() / 3,
                values.end());
  }
  for (auto& [bucket, count] : histogram.Top(10)) sum += bucket * count;
  for (auto& [bucket, count] : narrow.Top<std::deque>(5)) sum ^= bucket * count;
  sum += std::accumulate(recent.begin(), recent.end(), uint64_t{0});
  return sum + Drain(std::move(queue)) + cache.uses();
}

}  // namespace ledger
