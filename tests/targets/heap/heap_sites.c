/*
 * heap_sites: allocates in known places and proportions, and tells them.
 *
 *   heap_sites mix ROUNDS THREADS [PER_SECOND]   of each thread
 *   heap_sites pass BLOCKS PAIRS [PER_SECOND]    freed by other threads
 *   heap_sites hold COUNT BYTES [PER_SECOND]     a line frees them, told again
 *   heap_sites api                               each call 1,000 times
 *
 * See heap_target.h for what it says and when. Built without frame pointers.
 */
#define _GNU_SOURCE
#include <malloc.h>
#include <pthread.h>

#include "heap_target.h"

enum { kKeptOf = 4, kMaxThreads = 64, kApiCalls = 1000, kApiBytes = 96 };

enum site_number {
  kSite24,
  kSite100,
  kSite4k,
  kSite64k,
  kSite1m,
  kLeak1k,
  kMixSites
};

static struct heap_site mix_sites[kMixSites] = {
    [kSite24] = {.name = "site_24", .caller = "call_24"},
    [kSite100] = {.name = "site_100", .caller = "call_100"},
    [kSite4k] = {.name = "site_4k", .caller = "call_4k"},
    [kSite64k] = {.name = "site_64k", .caller = "call_64k"},
    [kSite1m] = {.name = "site_1m", .caller = "call_1m"},
    [kLeak1k] = {.name = "leak_1k", .caller = "call_leak"},
};

/*
 * Of eight calls four are malloc. realloc makes a block of half the size twice
 * as big: two allocations and a free.
 */
static inline __attribute__((always_inline)) void* allocate(
    struct heap_site* site, uint64_t call, size_t bytes) {
  void* block = NULL;
  switch (call % 8) {
    case 4:
      block = calloc(1, bytes);
      break;
    case 5:
      block = heap_escape(malloc(bytes / 2));
      heap_count(site, bytes / 2);
      heap_count_free(site, bytes / 2);
      block = realloc(block, bytes);
      break;
    case 6:
      if (posix_memalign(&block, 64, bytes) != 0) abort();
      break;
    case 7:
      /* Not every allocator takes another size. */
      block = bytes % 64 == 0 ? aligned_alloc(64, bytes) : malloc(bytes);
      break;
    default:
      block = malloc(bytes);
      break;
  }
  heap_count(site, bytes);
  return heap_escape(block);
}

#define SITE(name, number, bytes)                            \
  void* name(uint64_t call);                                 \
  TARGET_FRAME void* name(uint64_t call) {                   \
    void* block = allocate(&mix_sites[number], call, bytes); \
    TARGET_KEEP_FRAME();                                     \
    return block;                                            \
  }
#define CALLER(name, site)                 \
  void* name(uint64_t call);               \
  TARGET_FRAME void* name(uint64_t call) { \
    void* block = site(call);              \
    TARGET_KEEP_FRAME();                   \
    return block;                          \
  }

SITE(site_24, kSite24, 24)
SITE(site_100, kSite100, 100)
SITE(site_4k, kSite4k, 4096)
SITE(site_64k, kSite64k, 65536)
SITE(site_1m, kSite1m, 1048576)
SITE(leak_1k, kLeak1k, 1024)
CALLER(call_24, site_24)
CALLER(call_100, site_100)
CALLER(call_4k, site_4k)
CALLER(call_64k, site_64k)
CALLER(call_1m, site_1m)
CALLER(call_leak, leak_1k)

struct share {
  void* (*call)(uint64_t call);
  enum site_number site;
  size_t bytes;
  uint64_t per_round;
  int leaks;
};

static const struct share shares[] = {
    {call_24, kSite24, 24, 400, 0},    {call_100, kSite100, 100, 200, 0},
    {call_4k, kSite4k, 4096, 40, 0},   {call_64k, kSite64k, 65536, 8, 0},
    {call_1m, kSite1m, 1048576, 1, 0}, {call_leak, kLeak1k, 1024, 16, 1},
};
enum { kShares = sizeof(shares) / sizeof(shares[0]) };

static uint64_t thread_rounds;
static uint64_t rate;
static pthread_barrier_t start_line;
static pthread_barrier_t finish_line;

/*
 * Threads exist before the start and stay after the end, as starting and ending
 * one allocates and frees.
 */
static void stay(void) {
  pthread_barrier_wait(&finish_line);
  while (1) pause();
}

void release(struct heap_site* site, void* block, size_t bytes);
TARGET_FRAME void release(struct heap_site* site, void* block, size_t bytes) {
  free(block);
  heap_count_free(site, bytes);
  TARGET_KEEP_FRAME();
}

/* One block of kKeptOf stays until the end. */
void mix_round(uint64_t* calls, struct heap_pace* pace);
TARGET_FRAME void mix_round(uint64_t* calls, struct heap_pace* pace) {
  for (int i = 0; i < kShares; ++i) {
    const struct share* share = &shares[i];
    for (uint64_t n = 0; n < share->per_round; ++n) {
      uint64_t call = calls[i]++;
      void* block = share->call(call);
      /* Other than the kind of call, which repeats every eight. */
      int stays = share->leaks || call / 8 % kKeptOf == 0;
      if (!stays) release(&mix_sites[share->site], block, share->bytes);
      heap_keep_pace(pace);
    }
  }
}

static void* run_mix(void* unused) {
  (void)unused;
  uint64_t calls[kShares] = {0};
  pthread_barrier_wait(&start_line);
  struct heap_pace pace = {rate, target_clock_ns(CLOCK_MONOTONIC), 0};
  for (uint64_t i = 0; i < thread_rounds; ++i) mix_round(calls, &pace);
  stay();
  return NULL;
}

/* What a producer and its consumer share: blocks on their way. */
enum { kPassSlots = 256, kPassBytes = 100 };

static struct heap_site pass_sites[] = {
    {.name = "pass_100", .caller = "produce"},
};

struct pass {
  pthread_mutex_t lock;
  pthread_cond_t changed;
  void* blocks[kPassSlots];
  uint64_t sent;
  uint64_t taken;
};

static struct pass passes[kMaxThreads];

void* pass_100(uint64_t call);
TARGET_FRAME void* pass_100(uint64_t call) {
  void* block = allocate(&pass_sites[0], call, kPassBytes);
  TARGET_KEEP_FRAME();
  return block;
}

void produce(struct pass* pass, uint64_t count);
TARGET_FRAME void produce(struct pass* pass, uint64_t count) {
  struct heap_pace pace = {rate, target_clock_ns(CLOCK_MONOTONIC), 0};
  for (uint64_t i = 0; i < count; ++i) {
    void* block = pass_100(i);
    pthread_mutex_lock(&pass->lock);
    while (pass->sent - pass->taken == kPassSlots) {
      pthread_cond_wait(&pass->changed, &pass->lock);
    }
    pass->blocks[pass->sent++ % kPassSlots] = block;
    pthread_cond_signal(&pass->changed);
    pthread_mutex_unlock(&pass->lock);
    heap_keep_pace(&pace);
  }
  TARGET_KEEP_FRAME();
}

void consume(struct pass* pass, uint64_t count);
TARGET_FRAME void consume(struct pass* pass, uint64_t count) {
  for (uint64_t i = 0; i < count; ++i) {
    pthread_mutex_lock(&pass->lock);
    while (pass->sent == pass->taken) {
      pthread_cond_wait(&pass->changed, &pass->lock);
    }
    void* block = pass->blocks[pass->taken++ % kPassSlots];
    pthread_cond_signal(&pass->changed);
    pthread_mutex_unlock(&pass->lock);
    if (i / 8 % kKeptOf != 0) release(&pass_sites[0], block, kPassBytes);
  }
  TARGET_KEEP_FRAME();
}

static void* run_producer(void* pass) {
  pthread_barrier_wait(&start_line);
  produce(pass, thread_rounds);
  stay();
  return NULL;
}

static void* run_consumer(void* pass) {
  pthread_barrier_wait(&start_line);
  consume(pass, thread_rounds);
  stay();
  return NULL;
}

/* Held blocks are a list through their first words: it takes no memory. */
static struct heap_site hold_sites[] = {
    {.name = "hold_block", .caller = "hold_blocks"},
};

void* hold_block(size_t bytes);
TARGET_FRAME void* hold_block(size_t bytes) {
  void* block = heap_escape(malloc(bytes));
  heap_count(&hold_sites[0], bytes);
  return block;
}

void** hold_blocks(uint64_t count, size_t bytes);
TARGET_FRAME void** hold_blocks(uint64_t count, size_t bytes) {
  struct heap_pace pace = {rate, target_clock_ns(CLOCK_MONOTONIC), 0};
  void** list = NULL;
  for (uint64_t i = 0; i < count; ++i) {
    void** block = hold_block(bytes);
    *block = list;
    list = block;
    heap_keep_pace(&pace);
  }
  return list;
}

static int hold(uint64_t count, size_t bytes) {
  if (bytes < sizeof(void*)) return 2;
  heap_ready();
  heap_wait_for_line();
  void** list = hold_blocks(count, bytes);
  heap_print_truth("hold", hold_sites, 1);
  heap_wait_for_line();
  while (list) {
    void** next = *list;
    release(&hold_sites[0], list, bytes);
    list = next;
  }
  heap_print_truth("hold", hold_sites, 1);
  heap_wait_for_line();
  return 0;
}

/* Each in a function of its own: api_CALL. */
enum api_number {
  kApiMalloc,
  kApiCalloc,
  kApiReallocNull,
  kApiRealloc,
  kApiReallocarray,
  kApiMemalign,
  kApiAlignedAlloc,
  kApiPosixMemalign,
  kApiValloc,
  kApiPvalloc,
  kApiStrdup,
  kApiStrndup,
  kApis
};

#define API(call) {.name = "api_" call, .caller = "run_api"}
static struct heap_site api_sites[kApis] = {
    [kApiMalloc] = API("malloc"),
    [kApiCalloc] = API("calloc"),
    [kApiReallocNull] = API("realloc_null"),
    [kApiRealloc] = API("realloc"),
    [kApiReallocarray] = API("reallocarray"),
    [kApiMemalign] = API("memalign"),
    [kApiAlignedAlloc] = API("aligned_alloc"),
    [kApiPosixMemalign] = API("posix_memalign"),
    [kApiValloc] = API("valloc"),
    [kApiPvalloc] = API("pvalloc"),
    [kApiStrdup] = API("strdup"),
    [kApiStrndup] = API("strndup"),
};

static void* api_blocks[kApis][kApiCalls];
static char api_text[kApiBytes]; /* of kApiBytes - 1 letters */

#define API_FUNCTION(name, number, expression)         \
  void name(void);                                     \
  TARGET_FRAME void name(void) {                       \
    for (int i = 0; i < kApiCalls; ++i) {              \
      api_blocks[number][i] = heap_escape(expression); \
      heap_count(&api_sites[number], kApiBytes);       \
    }                                                  \
  }

API_FUNCTION(api_malloc, kApiMalloc, malloc(kApiBytes))
API_FUNCTION(api_calloc, kApiCalloc, calloc(kApiBytes / 8, 8))
API_FUNCTION(api_realloc_null, kApiReallocNull, realloc(NULL, kApiBytes))
API_FUNCTION(api_reallocarray, kApiReallocarray,
             reallocarray(NULL, kApiBytes / 8, 8))
API_FUNCTION(api_memalign, kApiMemalign, memalign(32, kApiBytes))
API_FUNCTION(api_aligned_alloc, kApiAlignedAlloc, aligned_alloc(32, kApiBytes))
API_FUNCTION(api_valloc, kApiValloc, valloc(kApiBytes))
#ifdef __GLIBC__
API_FUNCTION(api_pvalloc, kApiPvalloc, pvalloc(kApiBytes))
#endif
API_FUNCTION(api_strdup, kApiStrdup, strdup(api_text))
API_FUNCTION(api_strndup, kApiStrndup, strndup(api_text, kApiBytes))

void api_posix_memalign(void);
TARGET_FRAME void api_posix_memalign(void) {
  for (int i = 0; i < kApiCalls; ++i) {
    void* block = NULL;
    if (posix_memalign(&block, 32, kApiBytes) != 0) abort();
    api_blocks[kApiPosixMemalign][i] = heap_escape(block);
    heap_count(&api_sites[kApiPosixMemalign], kApiBytes);
  }
}

/* Of the blocks of api_malloc, which are freed by it. */
void api_realloc(void);
TARGET_FRAME void api_realloc(void) {
  for (int i = 0; i < kApiCalls; ++i) {
    void* block = heap_escape(realloc(api_blocks[kApiMalloc][i], kApiBytes));
    api_blocks[kApiMalloc][i] = NULL;
    api_blocks[kApiRealloc][i] = block;
    heap_count_free(&api_sites[kApiMalloc], kApiBytes);
    heap_count(&api_sites[kApiRealloc], kApiBytes);
  }
}

/* The blocks of api_calloc, and as many null pointers, which free nothing. */
void api_free(void);
TARGET_FRAME void api_free(void) {
  for (int i = 0; i < kApiCalls; ++i) {
    free(api_blocks[kApiCalloc][i]);
    void* null = NULL;
    __asm__ volatile("" : "+r"(null));
    free(null);
    heap_count_free(&api_sites[kApiCalloc], kApiBytes);
  }
}

static void (*const apis[])(void) = {
    api_malloc,        api_calloc,         api_realloc_null,
    api_realloc,       api_reallocarray,   api_memalign,
    api_aligned_alloc, api_posix_memalign, api_valloc,
#ifdef __GLIBC__
    api_pvalloc,
#endif
    api_strdup,        api_strndup,        api_free,
};

void run_api(void);
TARGET_FRAME void run_api(void) {
  for (size_t i = 0; i < sizeof(apis) / sizeof(apis[0]); ++i) apis[i]();
  TARGET_KEEP_FRAME();
}

static int api(void) {
  memset(api_text, 'x', sizeof(api_text) - 1);
  heap_ready();
  heap_wait_for_line();
  run_api();
  heap_print_truth("api", api_sites, kApis);
  heap_wait_for_line();
  return 0;
}

static void start_thread(void* (*run)(void*), void* argument) {
  pthread_t thread;
  if (pthread_create(&thread, NULL, run, argument) != 0) abort();
}

static int run_threads(const char* mode, uint64_t threads, int is_pass) {
  if (threads == 0 || threads > kMaxThreads) return 2;
  unsigned parties = (unsigned)(is_pass ? 2 * threads : threads) + 1;
  pthread_barrier_init(&start_line, NULL, parties);
  pthread_barrier_init(&finish_line, NULL, parties);
  for (uint64_t i = 0; i < threads; ++i) {
    if (is_pass) {
      pthread_mutex_init(&passes[i].lock, NULL);
      pthread_cond_init(&passes[i].changed, NULL);
      start_thread(run_producer, &passes[i]);
      start_thread(run_consumer, &passes[i]);
    } else {
      start_thread(run_mix, NULL);
    }
  }
  heap_ready();
  heap_wait_for_line();
  pthread_barrier_wait(&start_line);
  pthread_barrier_wait(&finish_line);
  if (is_pass) {
    heap_print_truth(mode, pass_sites, 1);
  } else {
    heap_print_truth(mode, mix_sites, kMixSites);
  }
  heap_wait_for_line();
  return 0;
}

int main(int argc, char** argv) {
  const char* mode = argc > 1 ? argv[1] : "";
  thread_rounds = heap_argument(argc, argv, 2, 100);
  rate = heap_argument(argc, argv, 4, 0);
  if (strcmp(mode, "api") == 0) return api();
  if (strcmp(mode, "hold") == 0) {
    return hold(thread_rounds, heap_argument(argc, argv, 3, 1024));
  }
  int is_pass = strcmp(mode, "pass") == 0;
  if (is_pass || strcmp(mode, "mix") == 0) {
    return run_threads(mode, heap_argument(argc, argv, 3, 1), is_pass);
  }
  fprintf(stderr, "usage: heap_sites mix|pass|hold|api [COUNT [N [RATE]]]\n");
  return 2;
}
