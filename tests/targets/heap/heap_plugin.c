/*
 * heap_plugin: allocates from the library that it was linked with.
 */
#include "heap_target.h"

void plugin_block(struct heap_site* site, size_t bytes);

TARGET_FRAME void plugin_block(struct heap_site* site, size_t bytes) {
  void* block = heap_escape(malloc(bytes));
  heap_count(site, bytes);
  free(block);
  heap_count_free(site, bytes);
}
