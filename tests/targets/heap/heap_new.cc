// heap_new ROUNDS: allocates by every form of operator new, and tells it.
//
// A line frees everything, which is told again. See heap_target.h for what it
// says and when.
#include <new>

#include "heap_target.h"

namespace {

enum Site { kNew, kArray, kNothrow, kAligned, kByCount, kSites };

heap_site sites[kSites] = {
    {"new_100", "call_new", 0, 0, 0, 0},
    {"new_array_4k", "call_new_array", 0, 0, 0, 0},
    {"new_nothrow_24", "call_new_nothrow", 0, 0, 0, 0},
    {"new_aligned_256", "call_new_aligned", 0, 0, 0, 0},
    {"new_by_count", "call_new_by_count", 0, 0, 0, 0},
};

// Held blocks are lists through their first words: they take no memory.
void* held[kSites];

void* Hold(Site site, size_t bytes, void* block) {
  block = heap_escape(block);
  *static_cast<void**>(block) = held[site];
  held[site] = block;
  heap_count(&sites[site], bytes);
  return block;
}

void* NextOf(void* block) { return *static_cast<void**>(block); }

template <typename Free>
void Release(Site site, size_t bytes, Free free_block) {
  while (held[site] != nullptr) {
    void* block = held[site];
    held[site] = NextOf(block);
    free_block(block);
    heap_count_free(&sites[site], bytes);
  }
}

constexpr std::align_val_t kAlignment{64};
constexpr size_t kManyLongs = 1000;
constexpr size_t kManyBytes = kManyLongs * sizeof(long);

}  // namespace

extern "C" {

TARGET_FRAME void new_100() { Hold(kNew, 100, ::operator new(100)); }
TARGET_FRAME void new_array_4k() { Hold(kArray, 4096, ::operator new[](4096)); }
TARGET_FRAME void new_nothrow_24() {
  Hold(kNothrow, 24, ::operator new(24, std::nothrow));
}
TARGET_FRAME void new_aligned_256() {
  Hold(kAligned, 256, ::operator new(256, kAlignment));
}
TARGET_FRAME void new_by_count(size_t count) {
  Hold(kByCount, kManyBytes, new long[count]);
}

TARGET_FRAME void call_new() {
  new_100();
  TARGET_KEEP_FRAME();
}
TARGET_FRAME void call_new_array() {
  new_array_4k();
  TARGET_KEEP_FRAME();
}
TARGET_FRAME void call_new_nothrow() {
  new_nothrow_24();
  TARGET_KEEP_FRAME();
}
TARGET_FRAME void call_new_aligned() {
  new_aligned_256();
  TARGET_KEEP_FRAME();
}
TARGET_FRAME void call_new_by_count() {
  new_by_count(kManyLongs);
  TARGET_KEEP_FRAME();
}

TARGET_FRAME void run_new(uint64_t rounds) {
  for (uint64_t i = 0; i < rounds; ++i) {
    call_new();
    call_new_array();
    call_new_nothrow();
    call_new_aligned();
    call_new_by_count();
  }
  TARGET_KEEP_FRAME();
}

TARGET_FRAME void run_delete() {
  Release(kNew, 100, [](void* block) { ::operator delete(block, 100); });
  Release(kArray, 4096, [](void* block) { ::operator delete[](block); });
  Release(kNothrow, 24,
          [](void* block) { ::operator delete(block, std::nothrow); });
  Release(kAligned, 256,
          [](void* block) { ::operator delete(block, kAlignment); });
  Release(kByCount, kManyBytes,
          [](void* block) { delete[] static_cast<long*>(block); });
  TARGET_KEEP_FRAME();
}

}  // extern "C"

int main(int argc, char** argv) {
  const uint64_t rounds = heap_argument(argc, argv, 1, 1000);
  heap_ready();
  heap_wait_for_line();
  run_new(rounds);
  heap_print_truth("new", sites, kSites);
  heap_wait_for_line();
  run_delete();
  heap_print_truth("new", sites, kSites);
  heap_wait_for_line();
  return 0;
}
