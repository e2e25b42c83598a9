/*
 * heap_unload PLUGIN CALLS: unloads and loads a library with an allocator.
 *
 * heap_plugin.so, which it loads, binds to an allocator of its own; the program
 * itself uses libc's. Each line of input is one step: calls of both, calls
 * without the library, calls of both after it was loaded again, and many times
 * over. See heap_target.h.
 */
#define _GNU_SOURCE
#include <dlfcn.h>

#include "heap_target.h"

typedef void (*block_function)(struct heap_site* site, size_t bytes);

enum { kBytes = 72, kReloads = 20 };

static struct heap_site sites[] = {
    {.name = "plugin_block", .caller = "call_plugin"},
    {.name = "own_block", .caller = "call_own"},
};

static const char* plugin_path;
static void* plugin;
static block_function plugin_block;

static void load(void) {
  plugin = dlopen(plugin_path, RTLD_NOW | RTLD_LOCAL | RTLD_DEEPBIND);
  if (!plugin) {
    fprintf(stderr, "%s\n", dlerror());
    abort();
  }
  plugin_block = (block_function)(uintptr_t)dlsym(plugin, "plugin_block");
  if (!plugin_block) abort();
}

/* Whether it is gone, the caller can tell by its mappings. */
static void unload(void) {
  if (dlclose(plugin) != 0) abort();
  plugin = NULL;
}

void own_block(void);
TARGET_FRAME void own_block(void) {
  void* block = heap_escape(malloc(kBytes));
  heap_count(&sites[1], kBytes);
  free(block);
  heap_count_free(&sites[1], kBytes);
}

void call_own(uint64_t calls);
TARGET_FRAME void call_own(uint64_t calls) {
  for (uint64_t i = 0; i < calls; ++i) own_block();
  TARGET_KEEP_FRAME();
}

void call_plugin(uint64_t calls);
TARGET_FRAME void call_plugin(uint64_t calls) {
  for (uint64_t i = 0; i < calls; ++i) plugin_block(&sites[0], kBytes);
  TARGET_KEEP_FRAME();
}

static void step(const char* mode) {
  heap_print_truth(mode, sites, 2);
  heap_wait_for_line();
}

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  plugin_path = argv[1];
  uint64_t calls = heap_argument(argc, argv, 2, 100);
  load();
  /* What was never called is not bound to an allocator yet. */
  free(heap_escape(malloc(kBytes)));
  heap_ready();
  heap_wait_for_line();
  call_plugin(calls);
  call_own(calls);
  step("loaded");
  unload();
  call_own(calls);
  step("unloaded");
  load();
  call_plugin(calls);
  call_own(calls);
  step("loaded again");
  for (int i = 0; i < kReloads; ++i) {
    unload();
    load();
    call_plugin(calls);
  }
  step("reloaded");
  return 0;
}
