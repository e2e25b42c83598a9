/*
 * swap_libraries SECONDS: works for 50 ms in a library, unloads it, does so in
 * another one at the same address, and so on. Prints "ready PID" and, when it
 * ends, {"rounds": N, "same_address": N}.
 */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "spin.h"

void swap_main(const char* library, void** address);

TARGET_FRAME void swap_main(const char* library, void** address) {
  void* handle = dlopen(library, RTLD_NOW);
  if (!handle) {
    fprintf(stderr, "%s\n", dlerror());
    exit(1);
  }
  void (*work)(uint64_t) = (void (*)(uint64_t))dlsym(handle, "swap_work");
  *address = (void*)work;
  const uint64_t until = target_clock_ns(CLOCK_MONOTONIC) + 50000000;
  while (target_clock_ns(CLOCK_MONOTONIC) < until) work(100000);
  dlclose(handle);
}

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  target_stop_on_sigterm();
  printf("ready %d\n", getpid());
  fflush(stdout);
  const uint64_t until = target_clock_ns(CLOCK_MONOTONIC) +
                         strtoull(argv[1], 0, 10) * UINT64_C(1000000000);
  int rounds = 0, same_address = 0;
  while (!target_stopping && target_clock_ns(CLOCK_MONOTONIC) < until) {
    void *first, *second;
    swap_main("./libswap_a.so", &first);
    swap_main("./libswap_b.so", &second);
    rounds++;
    same_address += first == second;
  }
  printf("{\"rounds\": %d, \"same_address\": %d}\n", rounds, same_address);
  return 0;
}
