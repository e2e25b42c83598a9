/*
 * heap_pairs FILE: malloc(64) and free, as fast as they go.
 *
 * How many pairs it has done so far is the first 8 bytes of FILE, which it maps
 * shared: that costs no system call. Runs until it is killed.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

enum { kPairsAtOnce = 256 };

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  int file = open(argv[1], O_RDWR | O_CREAT, 0600);
  if (file < 0 || ftruncate(file, sizeof(uint64_t)) != 0) return 1;
  volatile uint64_t* pairs =
      mmap(NULL, sizeof(uint64_t), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  if (pairs == MAP_FAILED) return 1;
  printf("ready %d\n", getpid());
  fflush(stdout);
  for (;;) {
    for (int i = 0; i < kPairsAtOnce; ++i) {
      void* block = malloc(64);
      /* The compiler must not know what becomes of it. */
      __asm__ volatile("" : "+r"(block) : : "memory");
      free(block);
    }
    *pairs += kPairsAtOnce;
  }
}
