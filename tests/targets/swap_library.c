/*
 * One of two libraries that take each other's place: the same addresses, other
 * functions, other frames. SWAP_NAME(x) is x with the library's letter.
 */
#include "spin.h"

#define SWAP_PASTE(name, letter) name##_##letter
#define SWAP_EXPAND(name, letter) SWAP_PASTE(name, letter)
#define SWAP_NAME(name) SWAP_EXPAND(name, SWAP_LETTER)

void SWAP_NAME(swap_leaf)(uint64_t rounds);
void swap_work(uint64_t rounds);

TARGET_FRAME void SWAP_NAME(swap_leaf)(uint64_t rounds) {
  volatile char room[SWAP_FRAME_BYTES];
  room[rounds % SWAP_FRAME_BYTES] = 1;
  TARGET_SPIN(rounds);
  room[0] = room[rounds % SWAP_FRAME_BYTES];
}

TARGET_FRAME void swap_work(uint64_t rounds) {
  volatile char room[2 * SWAP_FRAME_BYTES];
  room[rounds % SWAP_FRAME_BYTES] = 1;
  SWAP_NAME(swap_leaf)(rounds);
  room[0] = room[rounds % SWAP_FRAME_BYTES];
}
