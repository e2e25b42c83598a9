/*
 * heap_arena: an allocator of its own for whoever links it.
 *
 * Blocks come one after the other out of a fixed array, which is handed out
 * anew when all of them are free. For one thread.
 */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum { kArenaBytes = 8 << 20, kAlignment = 16 };

static unsigned char arena[kArenaBytes] __attribute__((aligned(16)));
static size_t used;
static size_t live;

/* In front of each block: its size. */
void* malloc(size_t bytes) {
  if (bytes > kArenaBytes) return NULL;
  size_t whole = (bytes + 2 * kAlignment - 1) / kAlignment * kAlignment;
  if (whole > kArenaBytes - used) return NULL;
  unsigned char* block = arena + used;
  memcpy(block, &bytes, sizeof(bytes));
  used += whole;
  ++live;
  return block + kAlignment;
}

void free(void* block) {
  if (block && --live == 0) used = 0;
}

void* calloc(size_t count, size_t bytes) {
  size_t product = 0;
  if (__builtin_mul_overflow(count, bytes, &product)) return NULL;
  void* block = malloc(product);
  return block ? memset(block, 0, product) : NULL;
}

void* realloc(void* block, size_t bytes) {
  void* moved = malloc(bytes);
  if (!moved || !block) return moved;
  size_t old = 0;
  memcpy(&old, (unsigned char*)block - kAlignment, sizeof(old));
  memcpy(moved, block, old < bytes ? old : bytes);
  free(block);
  return moved;
}
