// The second unit of rule_code.cc.
namespace rule {

// The same code, from other lines.

[[gnu::noinline]] inline int Twin(int value) {
  asm volatile("");

  return value * 3;
}

int CallTwin(int value) { return Twin(value + 1); }

}  // namespace rule
