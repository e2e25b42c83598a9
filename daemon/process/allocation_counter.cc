#include "daemon/process/allocation_counter.h"

#include <cstdlib>
#include <new>

namespace {
thread_local size_t allocation_count = 0;
}  // namespace

void* operator new(size_t size, const std::nothrow_t&) noexcept {
  ++allocation_count;
  return std::malloc(size);
}
void* operator new(size_t size) {
  if (void* memory = operator new(size, std::nothrow)) return memory;
  throw std::bad_alloc();
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, size_t) noexcept { std::free(memory); }

namespace pprofd {

size_t AllocationCount() { return allocation_count; }

}  // namespace pprofd
