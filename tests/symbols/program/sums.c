#include <cpuid.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

/* Of the same name as functions of the C++ files. */
static uint64_t Helper(uint64_t value) { return value << 3 | value >> 61; }

static inline uint64_t step(uint64_t sum, unsigned char c) {
  return Helper(sum) * 1099511628211u + c;
}

uint64_t ledger_checksum(const char* text, size_t size) {
  uint64_t sum = 14695981039346656037u;
  for (size_t i = 0; i < size; ++i) sum = step(sum, (unsigned char)text[i]);
  return sum;
}

/* Another name for the same code. */
uint64_t ledger_hash(const char* text, size_t size)
    __attribute__((alias("ledger_checksum")));

static int compare(const void* a, const void* b) {
  int x = *(const int*)a;
  int y = *(const int*)b;
  return (x > y) - (x < y);
}

int ledger_rank(const int* values, int count) {
  int sorted[16];
  int n = count < 16 ? count : 16;
  for (int i = 0; i < n; ++i) sorted[i] = values[i];
  qsort(sorted, (size_t)n, sizeof(sorted[0]), compare);
  for (int i = 0; i < n; ++i) {
    if (sorted[i] == values[0]) return i;
  }
  abort();
}

static uint64_t count_by_table(uint64_t value) {
  static const unsigned char kBits[16] = {0, 1, 1, 2, 1, 2, 2, 3,
                                          1, 2, 2, 3, 2, 3, 3, 4};
  uint64_t count = 0;
  for (; value != 0; value >>= 4) count += kBits[value & 15];
  return count;
}

__attribute__((target("popcnt"))) static uint64_t count_by_instruction(
    uint64_t value) {
  return (uint64_t)__builtin_popcountll(value);
}

typedef uint64_t (*count_function)(uint64_t value);

static count_function choose_count(void) {
  unsigned a = 0;
  unsigned b = 0;
  unsigned c = 0;
  unsigned d = 0;
  int has_leaf = __get_cpuid(1, &a, &b, &c, &d);
  return has_leaf && (c & bit_POPCNT) ? count_by_instruction : count_by_table;
}

/* The name is that of a function chosen when the program starts. */
uint64_t ledger_count_bits(uint64_t value)
    __attribute__((ifunc("choose_count")));
