// Code whose debug information comes in parts: dwz moves what two programs
// share to a third file, -gsplit-dwarf leaves it beside the objects. Tests
// compare every address with the same code in one piece. VARIANT makes two
// programs of it; shared_more.cc is linked to each.
#include "shared_code.h"

namespace {

struct Counter {
  int count = 0;
  [[gnu::always_inline]] int Step(int by) { return count += by * 5; }
};

[[gnu::always_inline]] inline int CountUp(Counter& counter, int step_size) {
  int total = counter.Step(step_size);
  return total ^ counter.Step(total);
}

[[gnu::noinline]] int RunCounter(int value) {
  Counter counter;
  auto twice = [&](int step) __attribute__((noinline)) {
    asm volatile("");
    return CountUp(counter, step) + CountUp(counter, step + 1);
  };
  if (__builtin_expect(value == 12345, 0)) {
    asm volatile("");
    __builtin_abort();
  }
  return twice(value);
}

}  // namespace

extern "C" [[gnu::noinline]] int shared_work(int value) {
  shared::Mixer mixer;
  return shared::SecondStep(mixer, value) + VARIANT;
}

int main(int argc, char**) {
  return shared_work(argc) + RunCounter(argc) + shared::More(argc);
}
