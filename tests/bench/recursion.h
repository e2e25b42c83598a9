// A recursion of three functions with frames of different size and shape, and a
// spin at its end; for programs of one file.
#ifndef TESTS_BENCH_RECURSION_H_
#define TESTS_BENCH_RECURSION_H_

#include <cstdint>

namespace bench {

#define BENCH_FRAME __attribute__((noipa))

static uint64_t Spin(uint64_t rounds);
static uint64_t Small(int depth, uint64_t rounds);
static uint64_t Saving(int depth, uint64_t rounds);
static uint64_t Wide(int depth, uint64_t rounds);

static BENCH_FRAME uint64_t Spin(uint64_t rounds) {
  uint64_t state = rounds;
  for (uint64_t left = rounds; left != 0; --left) {
    state = state * UINT64_C(6364136223846793005) + left;
    __asm__ volatile("" : "+r"(state));
  }
  return state;
}

// Nothing saved but the return address.
static BENCH_FRAME uint64_t Small(int depth, uint64_t rounds) {
  if (depth <= 1) return Spin(rounds);
  return Saving(depth - 1, rounds) + 1;
}

// Saves registers, rbp among them where it is no frame pointer.
static BENCH_FRAME uint64_t Saving(int depth, uint64_t rounds) {
  if (depth <= 1) return Spin(rounds);
  uint64_t first = rounds * 3, second = rounds ^ 7, third = rounds + 11;
  uint64_t fourth = rounds - 5, fifth = rounds << 2;
  uint64_t below = Wide(depth - 1, rounds);
  return below + first + second * third + fourth * fifth;
}

// Has an array.
static BENCH_FRAME uint64_t Wide(int depth, uint64_t rounds) {
  if (depth <= 1) return Spin(rounds);
  volatile uint64_t array[12];
  array[depth % 12] = rounds;
  return Small(depth - 1, rounds) + array[depth % 12];
}

}  // namespace bench

#endif  // TESTS_BENCH_RECURSION_H_
