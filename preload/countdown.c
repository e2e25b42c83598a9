/* SPDX-License-Identifier: Apache-2.0 */
#include "preload/countdown.h"

#include <elf.h>
#include <sys/auxv.h>
#include <time.h>

/* Of the C library that the process has, whichever it is. */
#pragma weak environ
#pragma weak getauxval
#pragma weak clock_gettime
extern char** environ;

/* Requests beyond an address space are refused by every allocator. */
#define ABSURD_BYTES (1ULL << 47)
#define MAX_PERIOD (1ULL << 40)
#define SAMPLES_PER_CHECK 1024
#define MUTE (1ULL << 62) /* as a period */

__thread struct countdown countdown;

/* Shared by all threads; a lost update costs a sample at the wrong period, and
 * every sample tells its own. */
static uint64_t first_period; /* 0 = the environment was not read yet */
static uint64_t shared_period;
static uint64_t sample_count;
static int64_t checked_ns;

static uint64_t load(const uint64_t* from) {
  return __atomic_load_n(from, __ATOMIC_RELAXED);
}
static void store(uint64_t* to, uint64_t value) {
  __atomic_store_n(to, value, __ATOMIC_RELAXED);
}

/* SplitMix64 (Steele, Lea, Flood, "Fast splittable pseudorandom number
 * generators", 2014). */
static uint64_t draw_bits(struct countdown* own) {
  own->random += 0x9e3779b97f4a7c15;
  uint64_t bits = own->random;
  bits = (bits ^ bits >> 30) * 0xbf58476d1ce4e5b9;
  bits = (bits ^ bits >> 27) * 0x94d049bb133111eb;
  return bits ^ bits >> 31;
}

/* What differs between processes, and threads (which may have the same place,
 * one after another), without asking the kernel or the time-stamp counter,
 * which programs may have forbidden themselves. */
static uint64_t draw_seed(void) {
  static uint64_t threads;
  uint64_t thread = __atomic_add_fetch(&threads, 1, __ATOMIC_RELAXED);
  const uint64_t* random =
      getauxval ? (const uint64_t*)getauxval(AT_RANDOM) : 0;
  return (random ? random[0] : 0) + thread * 0xd1342543de82ef95;
}

/* -ln(bits / 2^64), in units of 2^-32. In integers: floating point would leave
 * its traces in the program's exception flags. With bits = m * 2^e and m within
 * [1, 2), the digits of log2(m) come one by one from squaring m. */
static uint64_t negative_logarithm(uint64_t bits) {
  if (!bits) bits = 1;
  int zeros = __builtin_clzll(bits);
  uint64_t mantissa = bits << zeros; /* 63 bits behind the point */
  uint64_t fraction = 0;
  for (int i = 0; i < 32; i++) {
    uint64_t square = (unsigned __int128)mantissa * mantissa >> 64;
    uint64_t digit = square >> 63; /* 62 bits behind the point */
    fraction = fraction << 1 | digit;
    mantissa = digit ? square : square << 1;
  }
  uint64_t binary = ((uint64_t)(zeros + 1) << 32) - fraction;
  return (unsigned __int128)binary * 2977044472u >> 32; /* ln(2) * 2^32 */
}

static uint64_t draw_interval(struct countdown* own) {
  /* Exact: every block that is not empty. */
  if (own->period <= 1) return 0;
  if (own->period == MUTE) return UINT64_MAX;
  unsigned __int128 logarithm = negative_logarithm(draw_bits(own));
  return logarithm * own->period >> 32;
}

/* PPROFD_HEAP_PERIOD, in bytes. Not obeyed in programs with more rights than
 * who started them. */
static uint64_t read_period(void) {
  static const char kName[] = "PPROFD_HEAP_PERIOD=";
  if (getauxval && getauxval(AT_SECURE)) return PPROFD_DEFAULT_PERIOD;
  for (char** entry = environ; *entry; entry++) {
    const char* at = *entry;
    const char* name = kName;
    while (*name && *at == *name) at++, name++;
    if (*name) continue;
    uint64_t value = 0;
    for (; *at >= '0' && *at <= '9' && value < MAX_PERIOD; at++) {
      value = value * 10 + (uint64_t)(*at - '0');
    }
    if (*at || !value || value > MAX_PERIOD) return PPROFD_DEFAULT_PERIOD;
    return value;
  }
  return PPROFD_DEFAULT_PERIOD;
}

static uint64_t current_period(void) {
  uint64_t period = load(&shared_period);
  if (period) return period;
  /* The first allocations come before the C library has begun. */
  if (!&environ || !environ) return PPROFD_DEFAULT_PERIOD;
  period = read_period();
  store(&first_period, period);
  store(&shared_period, period);
  return period;
}

static void begin_interval(struct countdown* own) {
  own->period = current_period();
  own->left = draw_interval(own);
}

static void limit_rate(void) {
  uint64_t count = __atomic_add_fetch(&sample_count, 1, __ATOMIC_RELAXED);
  uint64_t period = load(&shared_period);
  if (period == MUTE) return;
  if (count % SAMPLES_PER_CHECK || period <= 1 || !clock_gettime) return;
  struct timespec time;
  /* The coarse one needs neither the kernel nor the time-stamp counter. */
  if (clock_gettime(CLOCK_MONOTONIC_COARSE, &time)) return;
  int64_t now = time.tv_sec * 1000000000LL + time.tv_nsec;
  int64_t before = __atomic_exchange_n(&checked_ns, now, __ATOMIC_RELAXED);
  if (!before) return;
  int64_t least = SAMPLES_PER_CHECK * 1000000000LL;
  least /= PPROFD_MAX_SAMPLES_PER_SECOND;
  if (now - before < least && period < MAX_PERIOD) {
    store(&shared_period, period * 2);
  } else if (now - before > 4 * least && period > load(&first_period)) {
    store(&shared_period, period / 2);
  }
}

uint64_t countdown_end(uint64_t bytes) {
  struct countdown* own = &countdown;
  if (bytes >= ABSURD_BYTES) return 0;
  if (!own->period) {
    own->random = draw_seed();
    begin_interval(own);
    if (countdown_goes_on(bytes)) return 0;
  }
  own->turns += 1;
  uint64_t period = own->period;
  limit_rate();
  begin_interval(own);
  return load(&shared_period) == MUTE ? 0 : period;
}

void countdown_mute(void) { store(&shared_period, MUTE); }

void countdown_raise_period(void) {
  uint64_t period = current_period();
  if (period >= MAX_PERIOD) return; /* muted, too */
  store(&first_period, load(&first_period) * 2);
  store(&shared_period, period * 2);
}
