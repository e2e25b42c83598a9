#include <coroutine>
#include <exception>
#include <functional>
#include <stdexcept>

#include "ledger.h"

namespace {

// Of no namespace, and again in main.cc.
uint64_t Helper(uint64_t value) { return value / 3 + 1; }

struct Twice {
  uint64_t operator()(uint64_t value) const { return Helper(value) * 2; }
};

template <typename F>
class Guard {
 public:
  explicit Guard(F f) : f_(std::move(f)) {}
  ~Guard() { f_(); }

 private:
  F f_;
};

class Generator {
 public:
  struct promise_type {
    uint64_t value = 0;
    Generator get_return_object() {
      return Generator(
          std::coroutine_handle<promise_type>::from_promise(*this));
    }
    std::suspend_always initial_suspend() { return {}; }
    std::suspend_always final_suspend() noexcept { return {}; }
    std::suspend_always yield_value(uint64_t next) {
      value = next;
      return {};
    }
    void return_void() {}
    void unhandled_exception() { std::terminate(); }
  };
  explicit Generator(std::coroutine_handle<promise_type> handle)
      : handle_(handle) {}
  Generator(Generator&&) = delete;
  ~Generator() { handle_.destroy(); }
  std::optional<uint64_t> Next() {
    handle_.resume();
    if (handle_.done()) return std::nullopt;
    return handle_.promise().value;
  }

 private:
  std::coroutine_handle<promise_type> handle_;
};

Generator Collatz(uint64_t value) {
  while (value != 1) {
    co_yield value;
    value = value % 2 == 0 ? value / 2 : value * 3 + 1;
  }
}

}  // namespace

namespace ledger {

uint64_t RunGenerators(int rounds) {
  uint64_t sum = 0;
  for (int i = 1; i <= rounds; ++i) {
    Generator numbers = Collatz(i);
    while (auto number = numbers.Next()) sum += *number;
  }
  return sum;
}

uint64_t RunClosures(int rounds) {
  uint64_t sum = 0;
  std::vector<std::function<uint64_t(uint64_t)>> steps{
      Twice(), [](uint64_t v) { return v + 5; },
      [rounds](uint64_t v) {
        auto inner = [v](auto scale) { return v * scale + Helper(v); };
        return rounds % 2 == 0 ? inner(3) : inner(int64_t{4});
      },
      &Helper};
  uint64_t (*plain)(uint64_t) = [](uint64_t v) { return v ^ 0x55; };
  std::function<uint64_t(int)> recurse = [&](int depth) -> uint64_t {
    Guard guard([&sum] { sum += 1; });
    if (depth > 60) throw std::out_of_range("deep");
    return depth <= 0 ? plain(sum) : recurse(depth - 1) + steps[1](depth);
  };
  for (int i = 0; i < rounds; ++i) {
    try {
      for (const auto& step : steps) sum += step(i);
      sum += recurse(i % 64);
    } catch (const std::out_of_range& error) {
      sum += std::string_view(error.what()).size();
    } catch (const std::exception&) {
      sum = 0;
    }
  }
  return sum;
}

}  // namespace ledger
