// Code with known names, lines and inlined calls, for symbolizer_test.cc. The
// labels are looked up by the test; the line numbers are part of it.
namespace known {
namespace {

template <typename T>
[[gnu::always_inline]] inline T Innermost(T value) {
  asm volatile("known_inlined: nop");  // line 8
  return value * 3;
}

[[gnu::always_inline]] inline int Middle(int value) {
  return Innermost(value + 1);  // line 13
}

[[gnu::noinline]] int Hidden(int value) {
  asm volatile("known_hidden: nop");  // line 17
  return value ^ 1;
}

}  // namespace

struct Outer {
  [[gnu::noinline]] int Run(int value) const;
};

int Outer::Run(int value) const {
  return Middle(value) + 1;  // line 28
}

}  // namespace known

extern "C" {
[[gnu::noinline]] int known_exported(int value) { return value + 2; }

// Hand-written assembly: a function without type or size.
asm(".text\n"
    "known_assembly:\n"
    "  nop\n"
    "  ret\n"
    ".size known_assembly, 0\n");
}

int main(int argc, char**) {
  return known::Outer().Run(argc) + known::Hidden(argc) + known_exported(argc);
}
