// Code for which sources of names differ, for name_rules_test.cc; the line
// numbers are part of the test. rule_twin.cc and rule_lines.S are linked to it.
namespace rule {

// Also in rule_twin.cc: the linker keeps one, and both units tell of it.
[[gnu::noinline]] inline int Twin(int value) {
  asm volatile("");
  return value * 3;  // line 8
}

int CallTwin(int value);

// Its linkage name has no namespace.
extern "C" [[gnu::noinline]] int rule_plain(int value) {
  asm volatile("");
  return value + 7;
}

[[gnu::cold, gnu::noinline]] int Refuse(int value) {
  asm volatile("");
  return value - 1;
}

// What is unlikely gets a place and a symbol of its own, CountDown.cold.
[[gnu::noinline]] int CountDown(int value) {
  if (__builtin_expect(value > 1000, 0)) return Refuse(Refuse(value)) + 5;
  asm volatile("");
  return value - 2;
}

// A name that only GCC can read: its type is computed from a trait.
template <typename T>
struct Pair {
  T first;
  T second;
};
template <bool, typename T>
struct If {
  using type = T;
};
template <typename T>
struct IsPlain {
  static constexpr bool value = true;
};
template <typename T>
[[gnu::noinline]] typename If<IsPlain<T>::value, bool>::type Same(
    const Pair<T>& a, const Pair<T>& b) {
  asm volatile("");
  return a.first == b.first && a.second == b.second;
}
template bool Same(const Pair<int>&, const Pair<int>&);

}  // namespace rule

extern "C" {
[[gnu::noinline]] static int RuleByChoice(int value) { return value ^ 5; }

using RuleFunction = int (*)(int);
RuleFunction rule_choose() { return RuleByChoice; }

// A symbol whose value is that of rule_choose.
int rule_chosen(int value) __attribute__((ifunc("rule_choose")));

int rule_lines(int value);
}

int main(int argc, char**) {
  return rule::Twin(argc) + rule::CallTwin(argc) + rule::rule_plain(argc) +
         rule::CountDown(argc) + rule_chosen(argc) + rule_lines(argc);
}
