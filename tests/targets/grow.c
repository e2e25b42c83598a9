/*
 * grow MODE [MIB] [FILE]: becomes resident at known places, when it is told to.
 *
 * Prints "ready PID", then for each line of input does its part and prints its
 * truth as one line of JSON: pages first touched by each function, and by how
 * many bytes /proc/self/statm says that it grew. Ends with its input.
 *   touch    touch_small a quarter of MIB, touch_big the rest
 *   read     read_file from FILE into memory that nobody touched
 *   threads  touch_thread a quarter of MIB in each of four threads
 *   idle     idle_touch what was touched before "ready"
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "spin.h"

#define PAGE 4096
#define THREADS 4

struct site {
  const char* name;
  const char* caller;
  uint64_t pages;
};

static struct site sites[8];
static size_t site_count;

static char* fresh_memory(size_t bytes) {
  char* memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED || madvise(memory, bytes, MADV_NOHUGEPAGE)) abort();
  return memory;
}

static void note(const char* name, const char* caller, size_t bytes) {
  size_t i = 0;
  while (i < site_count && strcmp(sites[i].name, name)) ++i;
  if (i == site_count) {
    sites[site_count++] = (struct site){.name = name, .caller = caller};
  }
  sites[i].pages += bytes / PAGE;
}

#define TOUCH_PAGES(memory, bytes)                \
  for (size_t at = 0; at < (bytes); at += PAGE) { \
    ((volatile char*)(memory))[at] = 1;           \
  }                                               \
  TARGET_KEEP_FRAME()

TARGET_FRAME void touch_small(char* memory, size_t bytes) {
  TOUCH_PAGES(memory, bytes);
}
TARGET_FRAME void grow_small(size_t bytes) {
  touch_small(fresh_memory(bytes), bytes);
  note("touch_small", "grow_small", bytes);
}

TARGET_FRAME void touch_big(char* memory, size_t bytes) {
  TOUCH_PAGES(memory, bytes);
}
TARGET_FRAME void grow_big(size_t bytes) {
  touch_big(fresh_memory(bytes), bytes);
  note("touch_big", "grow_big", bytes);
}

TARGET_FRAME void read_file(int file, char* memory, size_t bytes) {
  size_t done = 0;
  while (done < bytes) {
    ssize_t n = read(file, memory + done, bytes - done);
    if (n <= 0) abort();
    done += (size_t)n;
  }
  TARGET_KEEP_FRAME();
}
TARGET_FRAME void grow_read(const char* path, size_t bytes) {
  int file = open(path, O_RDONLY | O_CLOEXEC);
  if (file < 0) abort();
  read_file(file, fresh_memory(bytes), bytes);
  close(file);
  note("read_file", "grow_read", bytes);
}

static size_t thread_bytes;
TARGET_FRAME void touch_thread(char* memory, size_t bytes) {
  TOUCH_PAGES(memory, bytes);
}
static void* grow_thread(void* memory) {
  touch_thread(memory, thread_bytes);
  TARGET_KEEP_FRAME();
  return NULL;
}
TARGET_FRAME void grow_threads(size_t bytes) {
  pthread_t threads[THREADS];
  thread_bytes = bytes / THREADS;
  for (int i = 0; i < THREADS; ++i) {
    pthread_create(&threads[i], NULL, grow_thread, fresh_memory(thread_bytes));
  }
  for (int i = 0; i < THREADS; ++i) pthread_join(threads[i], NULL);
  note("touch_thread", "grow_thread", thread_bytes * THREADS);
}

static char* old_memory;
TARGET_FRAME void idle_touch(size_t bytes) {
  for (int i = 0; i < 20; ++i) {
    TOUCH_PAGES(old_memory, bytes);
  }
}

static long resident_pages(void) {
  char text[128] = "";
  int file = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
  if (file < 0 || read(file, text, sizeof(text) - 1) <= 0) abort();
  close(file);
  long size, resident;
  if (sscanf(text, "%ld %ld", &size, &resident) != 2) abort();
  return resident;
}

static void print_truth(long grown) {
  printf("{\"pid\":%d,\"grown\":%ld,\"sites\":{", getpid(), grown * PAGE);
  for (size_t i = 0; i < site_count; ++i) {
    printf("%s\"%s\":{\"caller\":\"%s\",\"pages\":%llu}", i ? "," : "",
           sites[i].name, sites[i].caller, (unsigned long long)sites[i].pages);
  }
  printf("}}\n");
  fflush(stdout);
}

int main(int argc, char** argv) {
  static char buffer[PAGE];
  setvbuf(stdout, buffer, _IOLBF, sizeof(buffer));
  if (argc < 2) return 2;
  const char* mode = argv[1];
  size_t bytes = (size_t)(argc > 2 ? atoi(argv[2]) : 16) << 20;
  old_memory = fresh_memory(bytes);
  if (!strcmp(mode, "idle")) memset(old_memory, 1, bytes);
  printf("ready %d\n", getpid());
  char line;
  while (read(STDIN_FILENO, &line, 1) == 1) {
    site_count = 0;
    long before = resident_pages();
    if (!strcmp(mode, "touch")) {
      grow_small(bytes / 4);
      grow_big(bytes / 4 * 3);
    } else if (!strcmp(mode, "read") && argc > 3) {
      grow_read(argv[3], bytes);
    } else if (!strcmp(mode, "threads")) {
      grow_threads(bytes);
    } else if (!strcmp(mode, "idle")) {
      idle_touch(bytes);
    } else {
      return 2;
    }
    print_truth(resident_pages() - before);
  }
  return 0;
}
