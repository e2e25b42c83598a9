// The second unit of each program of shared_code.cc, in several ranges.
#include "shared_code.h"

namespace shared {

[[gnu::noinline, gnu::section(".text.apart")]] static int Apart(int value) {
  Mixer mixer;
  return FirstStep(mixer, value) + 1;
}

int More(int value) {
  Mixer mixer;
  mixer.state = Apart(value);
  return SecondStep(mixer, value) ^ Blend(value, 7);
}

}  // namespace shared
