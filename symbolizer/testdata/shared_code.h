// Inlined code of shared_code.cc and shared_more.cc.
#ifndef SYMBOLIZER_TESTDATA_SHARED_CODE_H_
#define SYMBOLIZER_TESTDATA_SHARED_CODE_H_

namespace shared {
namespace {

[[gnu::always_inline]] inline int Blend(int first_part, int second_part) {
  auto blend = [&](int weight) { return first_part * weight - second_part; };
  return blend(3) ^ blend(4);
}

}  // namespace

struct Mixer {
  int state = 1;

  [[gnu::always_inline]] int Rotate(int by) {
    asm volatile("nop");
    state = (state << (by & 7)) ^ by;
    return state;
  }
  [[gnu::always_inline]] int Spread(int value) {
    int high = value * 31;
    return Rotate(high) + 1;
  }
};

[[gnu::always_inline]] inline int FirstStep(Mixer& mixer, int first_value) {
  return mixer.Spread(first_value) * 3;
}

[[gnu::always_inline]] inline int SecondStep(Mixer& mixer, int second_value) {
  return FirstStep(mixer, second_value + 1) - Blend(second_value, 2);
}

int More(int value);

}  // namespace shared

#endif  // SYMBOLIZER_TESTDATA_SHARED_CODE_H_
