#include "hop_library.h"

__attribute__((noinline)) void plugin_hop(hop_callback callback,
                                          uint64_t rounds) {
  callback(rounds);
  __asm__ volatile("" ::: "memory");
}
