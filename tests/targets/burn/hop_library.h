// Functions of a shared and of a dlopen'd library that call back.
#ifndef TESTS_TARGETS_BURN_HOP_LIBRARY_H_
#define TESTS_TARGETS_BURN_HOP_LIBRARY_H_

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef void (*hop_callback)(uint64_t rounds);

// Calls `callback` from one frame deeper than itself.
void library_hop(hop_callback callback, uint64_t rounds);
void plugin_hop(hop_callback callback, uint64_t rounds);

#ifdef __cplusplus
}
#endif

#endif  // TESTS_TARGETS_BURN_HOP_LIBRARY_H_
