/*
 * burn_c: the shares and a recursion of burn in C, for other C libraries and
 * for builds without .eh_frame; same options, same truth.
 */
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define FRAME __attribute__((noipa))
#define KEEP_FRAME() __asm__ volatile("" ::: "memory")
#define SPIN(rounds)                                        \
  do {                                                      \
    uint64_t state = (rounds);                              \
    for (uint64_t left = (rounds); left != 0; --left) {     \
      state = state * UINT64_C(6364136223846793005) + left; \
      __asm__ volatile("" : "+r"(state));                   \
    }                                                       \
  } while (0)

enum { kRecursionDepth = 200 };

void leaf_a(uint64_t rounds);
void leaf_b(uint64_t rounds);
void leaf_c(uint64_t rounds);
void hop_a(uint64_t rounds);
void path_a(uint64_t rounds);
void path_b(uint64_t rounds);
void path_c(uint64_t rounds);
void recursion_leaf(uint64_t rounds);
void recurse(int depth, uint64_t rounds);
void run_recursion(uint64_t rounds);
void run_rounds(uint64_t until_ns);

FRAME void leaf_a(uint64_t rounds) { SPIN(rounds); }
FRAME void leaf_b(uint64_t rounds) { SPIN(rounds); }
FRAME void leaf_c(uint64_t rounds) { SPIN(rounds); }

FRAME void hop_a(uint64_t rounds) {
  leaf_a(rounds);
  KEEP_FRAME();
}

FRAME void path_a(uint64_t rounds) {
  hop_a(rounds);
  KEEP_FRAME();
}

FRAME void path_b(uint64_t rounds) {
  leaf_b(rounds);
  KEEP_FRAME();
}

FRAME void path_c(uint64_t rounds) {
  leaf_c(rounds);
  KEEP_FRAME();
}

FRAME void recursion_leaf(uint64_t rounds) { SPIN(rounds); }

FRAME void recurse(int depth, uint64_t rounds) {
  if (depth > 1) {
    recurse(depth - 1, rounds);
  } else {
    recursion_leaf(rounds);
  }
  KEEP_FRAME();
}

FRAME void run_recursion(uint64_t rounds) {
  recurse(kRecursionDepth, rounds);
  KEEP_FRAME();
}

struct scenario {
  const char* name;
  const char* marker;
  void (*run)(uint64_t rounds);
  const char* chain; /* "\"leaf\",..." without run_rounds and main */
  uint64_t weight;
  uint64_t cpu_ns;
};

static struct scenario scenarios[] = {
    {"a", "path_a", path_a, "\"leaf_a\",\"hop_a\",\"path_a\"", 5, 0},
    {"b", "path_b", path_b, "\"leaf_b\",\"path_b\"", 3, 0},
    {"c", "path_c", path_c, "\"leaf_c\",\"path_c\"", 2, 0},
    {"recursion", "run_recursion", run_recursion, NULL, 1, 0},
};
enum { kScenarios = sizeof(scenarios) / sizeof(scenarios[0]) };

static volatile sig_atomic_t stopping;

static void stop(int signal_number) {
  (void)signal_number;
  stopping = 1;
}

static uint64_t clock_ns(clockid_t clock) {
  struct timespec now;
  clock_gettime(clock, &now);
  return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static uint64_t rounds_per_ms(void) {
  const uint64_t rounds = 3000000;
  leaf_a(rounds);
  uint64_t start_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID);
  leaf_a(rounds);
  uint64_t used_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID) - start_ns + 1;
  return rounds * 1000000 / used_ns + 1;
}

FRAME void run_rounds(uint64_t until_ns) {
  const uint64_t per_ms = rounds_per_ms();
  uint32_t random = 7;
  printf("ready %d\n", getpid());
  fflush(stdout);
  while (!stopping && clock_ns(CLOCK_MONOTONIC) < until_ns) {
    random = random * 1664525u + 1013904223u;
    uint64_t rounds = per_ms * (500 + (random >> 8) % 1000) / 1000;
    for (int i = 0; i < kScenarios; ++i) {
      uint64_t start_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID);
      scenarios[i].run(rounds * scenarios[i].weight);
      scenarios[i].cpu_ns += clock_ns(CLOCK_THREAD_CPUTIME_ID) - start_ns;
    }
  }
}

static void print_chain(const struct scenario* scenario) {
  if (scenario->chain != NULL) {
    printf("%s", scenario->chain);
  } else {
    printf("\"recursion_leaf\"");
    for (int i = 0; i < kRecursionDepth; ++i) printf(",\"recurse\"");
    printf(",\"run_recursion\"");
  }
  printf(",\"run_rounds\",\"main\"");
}

static void print_truth(void) {
  printf("{\"pid\":%d,\"scenarios\":[", getpid());
  for (int i = 0; i < kScenarios; ++i) {
    printf("%s{\"name\":\"%s\",\"marker\":\"%s\",\"cpu_ns\":%llu,\"chains\":[[",
           i == 0 ? "" : ",", scenarios[i].name, scenarios[i].marker,
           (unsigned long long)scenarios[i].cpu_ns);
    print_chain(&scenarios[i]);
    printf("]],\"roots\":[],\"inlined\":[]}");
  }
  printf("]}\n");
  fflush(stdout);
}

int main(int argc, char** argv) {
  uint64_t seconds = 60;
  for (int i = 1; i < argc; ++i) {
    if (strncmp(argv[i], "--seconds=", 10) == 0) {
      seconds = strtoull(argv[i] + 10, NULL, 10);
    }
  }
  signal(SIGTERM, stop);
  run_rounds(clock_ns(CLOCK_MONOTONIC) + seconds * 1000000000u);
  print_truth();
  return 0;
}
