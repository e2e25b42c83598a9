// A recursion of three functions with frames of different size and shape; for
// programs of one file, which say what its leaf does.
#ifndef TESTS_BENCH_RECURSION_H_
#define TESTS_BENCH_RECURSION_H_

#include <cstdint>

namespace bench {

#define BENCH_FRAME __attribute__((noipa))

static uint64_t Leaf(uint64_t rounds);
static uint64_t Small(int depth, uint64_t rounds);
static uint64_t Saving(int depth, uint64_t rounds);
static uint64_t Wide(int depth, uint64_t rounds);

// Nothing saved but the return address.
static BENCH_FRAME uint64_t Small(int depth, uint64_t rounds) {
  if (depth <= 1) return Leaf(rounds);
  return Saving(depth - 1, rounds) + 1;
}

// Saves registers, rbp among them where it is no frame pointer.
static BENCH_FRAME uint64_t Saving(int depth, uint64_t rounds) {
  if (depth <= 1) return Leaf(rounds);
  uint64_t first = rounds * 3, second = rounds ^ 7, third = rounds + 11;
  uint64_t fourth = rounds - 5, fifth = rounds << 2;
  uint64_t below = Wide(depth - 1, rounds);
  return below + first + second * third + fourth * fifth;
}

// Has an array.
static BENCH_FRAME uint64_t Wide(int depth, uint64_t rounds) {
  if (depth <= 1) return Leaf(rounds);
  volatile uint64_t array[12];
  array[depth % 12] = rounds;
  return Small(depth - 1, rounds) + array[depth % 12];
}

}  // namespace bench

#endif  // TESTS_BENCH_RECURSION_H_
