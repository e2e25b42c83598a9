#include <atomic>
#include <condition_variable>
#include <future>
#include <mutex>
#include <shared_mutex>
#include <thread>

#include "ledger.h"

namespace ledger {
namespace {

class Queue {
 public:
  void Put(uint64_t value) {
    std::lock_guard lock(mutex_);
    values_.push_back(value);
    ready_.notify_one();
  }
  std::optional<uint64_t> Take() {
    std::unique_lock lock(mutex_);
    ready_.wait(lock, [this] { return is_closed_ || !values_.empty(); });
    if (values_.empty()) return std::nullopt;
    uint64_t value = values_.back();
    values_.pop_back();
    return value;
  }
  void Close() {
    std::lock_guard lock(mutex_);
    is_closed_ = true;
    ready_.notify_all();
  }

 private:
  std::mutex mutex_;
  std::condition_variable ready_;
  std::vector<uint64_t> values_;
  bool is_closed_ = false;
};

static int Helper(int value) { return value ^ 0x2a; }

}  // namespace

uint64_t RunWorkers(int rounds) {
  static std::shared_mutex table_mutex;
  static std::map<int, uint64_t> table;
  thread_local std::string scratch(8, 'x');
  Queue queue;
  std::atomic<uint64_t> sum{0};
  auto work = [&] {
    while (auto value = queue.Take()) {
      std::unique_lock lock(table_mutex);
      table[Helper(static_cast<int>(*value % 50))] += *value;
      sum.fetch_add(ledger_count_bits(*value), std::memory_order_relaxed);
    }
  };
  std::thread thread(work);
  auto other = std::async(std::launch::async, work);
  for (int i = 0; i < rounds; ++i) queue.Put(i * 2654435761u);
  queue.Close();
  thread.join();
  other.get();
  std::shared_lock lock(table_mutex);
  scratch += std::to_string(table.size());
  return sum + scratch.size();
}

}  // namespace ledger
