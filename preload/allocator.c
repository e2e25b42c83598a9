/* SPDX-License-Identifier: Apache-2.0 */
/*
 * allocator.c: stands in front of the allocator of a program, whichever it is,
 * and tells which blocks it samples.
 *
 * Loaded by LD_PRELOAD. What is told goes through two functions of their own
 * that do nothing: pprofd puts probes on them. They begin with a nop of one
 * byte, which the kernel emulates; of five it would make a call, to a page that
 * forked children do not have. Without pprofd nothing happens but the counting.
 * Each call is counted once, also when the allocator serves one function by
 * another of these: then the inner one has counted it.
 * Where the program or a library in front of this one brings its own malloc or
 * free, not all calls come here: then nothing is told.
 *
 * C++'s operators are in libpprofd_heap_new.so only (PPROFD_OPERATORS), for
 * allocators that bring their own, which do not call malloc: jemalloc, tcmalloc
 * and mimalloc. Elsewhere to stand in front of them would do harm, as libraries
 * that are loaded later may bring their own, each for itself.
 * Thread: any, and signal handlers as far as the allocator itself allows it.
 * Fails: as the allocator does; what it lacks fails as if memory were short.
 */
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "preload/countdown.h"
#include "preload/next_function.h"
#include "preload/sampled_blocks.h"

#define EXPORT __attribute__((visibility("default")))
/* Seen from outside, called from here without detours. */
#define PROBED __attribute__((visibility("protected")))
#define COLD __attribute__((cold, noinline))
#define UNLIKELY(condition) __builtin_expect(!!(condition), 0)

/* A block was sampled: null if its free will not be told. */
PROBED void pprofd_heap_sampled(void* block, uint64_t bytes, uint64_t period);
/* A sampled block is about to be freed. */
PROBED void pprofd_heap_freed(void* block);

__asm__(
    ".text\n"
    ".p2align 4\n"
    ".globl pprofd_heap_sampled\n"
    ".protected pprofd_heap_sampled\n"
    ".type pprofd_heap_sampled, @function\n"
    "pprofd_heap_sampled:\n"
    ".cfi_startproc\n"
    "nop\n"
    "ret\n"
    ".cfi_endproc\n"
    ".size pprofd_heap_sampled, . - pprofd_heap_sampled\n"
    ".p2align 4\n"
    ".globl pprofd_heap_freed\n"
    ".protected pprofd_heap_freed\n"
    ".type pprofd_heap_freed, @function\n"
    "pprofd_heap_freed:\n"
    ".cfi_startproc\n"
    "nop\n"
    "ret\n"
    ".cfi_endproc\n"
    ".size pprofd_heap_freed, . - pprofd_heap_freed\n");

/* The allocator's functions: name, result, parameters, arguments, and what is
 * done when nobody has it. */
#define FUNCTIONS_OF_C(F)                                                     \
  F(malloc, void*, (size_t bytes), (bytes), return NULL)                      \
  F(free, void, (void* block), (block), return)                               \
  F(free_sized, void, (void* block, size_t bytes), (block, bytes),            \
    next.free(block))                                                         \
  F(free_aligned_sized, void, (void* block, size_t alignment, size_t bytes),  \
    (block, alignment, bytes), next.free(block))                              \
  F(calloc, void*, (size_t count, size_t bytes), (count, bytes), return NULL) \
  F(realloc, void*, (void* old, size_t bytes), (old, bytes), return NULL)     \
  F(reallocarray, void*, (void* old, size_t count, size_t bytes),             \
    (old, count, bytes), return NULL)                                         \
  F(memalign, void*, (size_t alignment, size_t bytes), (alignment, bytes),    \
    return NULL)                                                              \
  F(aligned_alloc, void*, (size_t alignment, size_t bytes),                   \
    (alignment, bytes), return NULL)                                          \
  F(posix_memalign, int, (void** result, size_t alignment, size_t bytes),     \
    (result, alignment, bytes), return ENOMEM)                                \
  F(valloc, void*, (size_t bytes), (bytes), return NULL)                      \
  F(pvalloc, void*, (size_t bytes), (bytes), return NULL)

#define TAG const void* tag
#define WITHOUT_NEW return allocate(bytes)
#define WITHOUT_ALIGNED_NEW return allocate_aligned(alignment, bytes)
#define WITHOUT_DELETE next.free(block)
#define OPERATORS(F)                                                          \
  F(_Znwm, void*, (size_t bytes), (bytes), WITHOUT_NEW)                       \
  F(_Znam, void*, (size_t bytes), (bytes), WITHOUT_NEW)                       \
  F(_ZnwmRKSt9nothrow_t, void*, (size_t bytes, TAG), (bytes, tag),            \
    WITHOUT_NEW)                                                              \
  F(_ZnamRKSt9nothrow_t, void*, (size_t bytes, TAG), (bytes, tag),            \
    WITHOUT_NEW)                                                              \
  F(_ZnwmSt11align_val_t, void*, (size_t bytes, size_t alignment),            \
    (bytes, alignment), WITHOUT_ALIGNED_NEW)                                  \
  F(_ZnamSt11align_val_t, void*, (size_t bytes, size_t alignment),            \
    (bytes, alignment), WITHOUT_ALIGNED_NEW)                                  \
  F(_ZnwmSt11align_val_tRKSt9nothrow_t, void*,                                \
    (size_t bytes, size_t alignment, TAG), (bytes, alignment, tag),           \
    WITHOUT_ALIGNED_NEW)                                                      \
  F(_ZnamSt11align_val_tRKSt9nothrow_t, void*,                                \
    (size_t bytes, size_t alignment, TAG), (bytes, alignment, tag),           \
    WITHOUT_ALIGNED_NEW)                                                      \
  F(_ZdlPv, void, (void* block), (block), WITHOUT_DELETE)                     \
  F(_ZdaPv, void, (void* block), (block), WITHOUT_DELETE)                     \
  F(_ZdlPvm, void, (void* block, size_t bytes), (block, bytes),               \
    WITHOUT_DELETE)                                                           \
  F(_ZdaPvm, void, (void* block, size_t bytes), (block, bytes),               \
    WITHOUT_DELETE)                                                           \
  F(_ZdlPvRKSt9nothrow_t, void, (void* block, TAG), (block, tag),             \
    WITHOUT_DELETE)                                                           \
  F(_ZdaPvRKSt9nothrow_t, void, (void* block, TAG), (block, tag),             \
    WITHOUT_DELETE)                                                           \
  F(_ZdlPvSt11align_val_t, void, (void* block, size_t alignment),             \
    (block, alignment), WITHOUT_DELETE)                                       \
  F(_ZdaPvSt11align_val_t, void, (void* block, size_t alignment),             \
    (block, alignment), WITHOUT_DELETE)                                       \
  F(_ZdlPvmSt11align_val_t, void,                                             \
    (void* block, size_t bytes, size_t alignment), (block, bytes, alignment), \
    WITHOUT_DELETE)                                                           \
  F(_ZdaPvmSt11align_val_t, void,                                             \
    (void* block, size_t bytes, size_t alignment), (block, bytes, alignment), \
    WITHOUT_DELETE)                                                           \
  F(_ZdlPvSt11align_val_tRKSt9nothrow_t, void,                                \
    (void* block, size_t alignment, TAG), (block, alignment, tag),            \
    WITHOUT_DELETE)                                                           \
  F(_ZdaPvSt11align_val_tRKSt9nothrow_t, void,                                \
    (void* block, size_t alignment, TAG), (block, alignment, tag),            \
    WITHOUT_DELETE)

#ifdef PPROFD_OPERATORS
#define FUNCTIONS(F) \
  FUNCTIONS_OF_C(F)  \
  OPERATORS(F)
#else
#define FUNCTIONS(F) FUNCTIONS_OF_C(F)
#endif

#define DECLARE_POINTER(name, result, parameters, arguments, otherwise) \
  result(*name) parameters;
#define DECLARE_FIRST(name, result, parameters, arguments, otherwise) \
  static result first_##name parameters;
#define INITIAL_POINTER(name, result, parameters, arguments, otherwise) \
  .name = first_##name,

FUNCTIONS(DECLARE_FIRST)
static struct {
  FUNCTIONS(DECLARE_POINTER)
} next = {FUNCTIONS(INITIAL_POINTER)};

#ifdef PPROFD_OPERATORS
/* For who has new and delete of nobody else: they are pairs. Cannot throw. */
static void* allocate(size_t bytes) {
  void* block = next.malloc(bytes ? bytes : 1);
  if (!block) __builtin_trap();
  return block;
}
static void* allocate_aligned(size_t alignment, size_t bytes) {
  void* block = NULL;
  if (next.posix_memalign(&block, alignment, bytes)) __builtin_trap();
  return block;
}
#endif

static bool has_looked;
static bool has_started;

/* All are looked up when the program starts, and those that are called before,
 * then: later, files come and go, and other threads hold locks. */
COLD static void* find(const char* name) {
  if (has_started) return NULL;
  if (!has_looked) {
    has_looked = true;
    if (!is_first_function("malloc") || !is_first_function("free")) {
      countdown_mute();
    }
  }
  return find_next_function(name);
}

#define DEFINE_FIRST(name, result, parameters, arguments, otherwise) \
  COLD static result first_##name parameters {                       \
    result(*found) parameters = find(#name);                         \
    if (found) {                                                     \
      next.name = found;                                             \
      return found arguments;                                        \
    }                                                                \
    otherwise;                                                       \
  }
FUNCTIONS(DEFINE_FIRST)

#define FIND_NEXT(name, result, parameters, arguments, otherwise) \
  if (next.name == first_##name) {                                \
    result(*found) parameters = find(#name);                      \
    if (found) next.name = found;                                 \
  }

__attribute__((constructor)) static void start(void) {
  FUNCTIONS(FIND_NEXT)
  has_started = true;
}

/* A value for the rest of a rare branch. Else the compiler keeps it in a
 * register that it has to save on the stack first, in every call. */
#define SET_ASIDE(value)           \
  ({                               \
    __typeof__(value) own = value; \
    __asm__("" : "+r"(own));       \
    own;                           \
  })

/* Inlined, so that the function that was called is the one that tells. */
__attribute__((always_inline)) static inline void tell_sample(void* block,
                                                              uint64_t bytes,
                                                              uint64_t period) {
  if (!block) return;
  pprofd_heap_sampled(sampled_blocks_add(block) ? block : NULL, bytes, period);
}

COLD static void release(void* block) {
  if (sampled_blocks_remove(block)) pprofd_heap_freed(block);
}

EXPORT void* malloc(size_t requested) {
  if (countdown_goes_on(requested)) return next.malloc(requested);
  size_t bytes = SET_ASIDE(requested);
  uint64_t period = countdown_end(bytes);
  void* block = next.malloc(bytes);
  if (period) tell_sample(block, bytes, period);
  return block;
}

/* What an outer function finds out about the inner ones. */
struct mark {
  uint64_t left;
  uint64_t turns;
};

static inline struct mark mark_countdown(void) {
  return (struct mark){countdown.left, countdown.turns};
}

/* Counts a block, unless the allocator has come back here for it. */
#define COUNT(mark, block, bytes)                                         \
  do {                                                                    \
    if ((mark).left != countdown.left || (mark).turns != countdown.turns) \
      break;                                                              \
    if (countdown_goes_on(bytes)) break;                                  \
    uint64_t period = countdown_end(bytes);                               \
    if (period) tell_sample(block, bytes, period);                        \
  } while (0)

EXPORT void* calloc(size_t count, size_t bytes) {
  struct mark mark = mark_countdown();
  void* block = next.calloc(count, bytes);
  /* A product that does not fit has no block. */
  if (block) COUNT(mark, block, count * bytes);
  return block;
}

/* A block that stays keeps its sample; one that goes is told only then, as it
 * may be another thread's again already: who is told of that has seen the
 * sample of a block at its address. */
#define MOVE(old, call, bytes)                                              \
  struct mark mark = mark_countdown();                                      \
  bool was_sampled =                                                        \
      UNLIKELY(sampled_blocks_may_have(old)) && sampled_blocks_remove(old); \
  void* block = call;                                                       \
  if (UNLIKELY(was_sampled)) {                                              \
    if (block || (bytes) == 0) {                                            \
      pprofd_heap_freed(old);                                               \
    } else {                                                                \
      sampled_blocks_add(old);                                              \
    }                                                                       \
  }                                                                         \
  if (block) COUNT(mark, block, bytes);                                     \
  return block

EXPORT void* realloc(void* old, size_t bytes) {
  if (!old) return malloc(bytes);
  MOVE(old, next.realloc(old, bytes), bytes);
}

EXPORT void* reallocarray(void* old, size_t count, size_t bytes) {
  size_t product;
  /* Too much is not nothing, which would free the block. */
  if (__builtin_mul_overflow(count, bytes, &product)) product = SIZE_MAX;
  MOVE(old, next.reallocarray(old, count, bytes), product);
}

EXPORT int posix_memalign(void** result, size_t alignment, size_t bytes) {
  struct mark mark = mark_countdown();
  int error = next.posix_memalign(result, alignment, bytes);
  if (!error) COUNT(mark, *result, bytes);
  return error;
}

#define ALLOCATE(name, parameters, arguments) \
  EXPORT void* name parameters {              \
    struct mark mark = mark_countdown();      \
    void* block = next.name arguments;        \
    if (block) COUNT(mark, block, bytes);     \
    return block;                             \
  }
ALLOCATE(memalign, (size_t alignment, size_t bytes), (alignment, bytes))
ALLOCATE(aligned_alloc, (size_t alignment, size_t bytes), (alignment, bytes))
ALLOCATE(valloc, (size_t bytes), (bytes))
ALLOCATE(pvalloc, (size_t bytes), (bytes))

#define RELEASE(name, parameters, arguments)                      \
  EXPORT void name parameters {                                   \
    if (UNLIKELY(sampled_blocks_may_have(block))) release(block); \
    next.name arguments;                                          \
  }
RELEASE(free, (void* block), (block))
RELEASE(free_sized, (void* block, size_t bytes), (block, bytes))
RELEASE(free_aligned_sized, (void* block, size_t alignment, size_t bytes),
        (block, alignment, bytes))

#ifdef PPROFD_OPERATORS
/* An exception passes through. */
ALLOCATE(_Znwm, (size_t bytes), (bytes))
ALLOCATE(_Znam, (size_t bytes), (bytes))
ALLOCATE(_ZnwmRKSt9nothrow_t, (size_t bytes, const void* tag), (bytes, tag))
ALLOCATE(_ZnamRKSt9nothrow_t, (size_t bytes, const void* tag), (bytes, tag))
ALLOCATE(_ZnwmSt11align_val_t, (size_t bytes, size_t alignment),
         (bytes, alignment))
ALLOCATE(_ZnamSt11align_val_t, (size_t bytes, size_t alignment),
         (bytes, alignment))
ALLOCATE(_ZnwmSt11align_val_tRKSt9nothrow_t,
         (size_t bytes, size_t alignment, const void* tag),
         (bytes, alignment, tag))
ALLOCATE(_ZnamSt11align_val_tRKSt9nothrow_t,
         (size_t bytes, size_t alignment, const void* tag),
         (bytes, alignment, tag))

RELEASE(_ZdlPv, (void* block), (block))
RELEASE(_ZdaPv, (void* block), (block))
RELEASE(_ZdlPvm, (void* block, size_t bytes), (block, bytes))
RELEASE(_ZdaPvm, (void* block, size_t bytes), (block, bytes))
RELEASE(_ZdlPvRKSt9nothrow_t, (void* block, const void* tag), (block, tag))
RELEASE(_ZdaPvRKSt9nothrow_t, (void* block, const void* tag), (block, tag))
RELEASE(_ZdlPvSt11align_val_t, (void* block, size_t alignment),
        (block, alignment))
RELEASE(_ZdaPvSt11align_val_t, (void* block, size_t alignment),
        (block, alignment))
RELEASE(_ZdlPvmSt11align_val_t, (void* block, size_t bytes, size_t alignment),
        (block, bytes, alignment))
RELEASE(_ZdaPvmSt11align_val_t, (void* block, size_t bytes, size_t alignment),
        (block, bytes, alignment))
RELEASE(_ZdlPvSt11align_val_tRKSt9nothrow_t,
        (void* block, size_t alignment, TAG), (block, alignment, tag))
RELEASE(_ZdaPvSt11align_val_tRKSt9nothrow_t,
        (void* block, size_t alignment, TAG), (block, alignment, tag))
#endif
