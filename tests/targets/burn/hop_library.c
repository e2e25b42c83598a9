#include "hop_library.h"

void library_inner_hop(hop_callback callback, uint64_t rounds);

__attribute__((noinline)) void library_inner_hop(hop_callback callback,
                                                 uint64_t rounds) {
  callback(rounds);
  __asm__ volatile("" ::: "memory");
}

/* The inner call goes through the library's own PLT. */
__attribute__((noinline)) void library_hop(hop_callback callback,
                                           uint64_t rounds) {
  library_inner_hop(callback, rounds);
  __asm__ volatile("" ::: "memory");
}
