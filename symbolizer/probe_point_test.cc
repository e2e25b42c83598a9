#include "symbolizer/probe_point.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

namespace pprofd {
namespace {

using testing::ElementsAre;
using Code = std::vector<uint8_t>;

// DWARF numbers.
constexpr uint8_t kRax = 0;
constexpr uint8_t kRdx = 1;
constexpr uint8_t kRsi = 4;
constexpr uint8_t kRdi = 5;
constexpr uint8_t kR12 = 12;

Code operator+(Code a, const Code& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

const Code kRet = {0xc3};
const Code kPushRbp = {0x55};
const Code kEndbr64 = {0xf3, 0x0f, 0x1e, 0xfa};
const Code kNop5 = {0x0f, 0x1f, 0x44, 0x00, 0x00};
const Code kTestRdi = {0x48, 0x85, 0xff};
const Code kSubRsp = {0x48, 0x83, 0xec, 0x18};
const Code kXorEdi = {0x31, 0xff};
const Code kMovRaxRdi = {0x48, 0x89, 0xf8};

uint64_t EmulatedAt(const Code& code) {
  ProbePoint point = FindProbePoint(code, 1);
  EXPECT_TRUE(point.is_emulated);
  return point.offset;
}

bool IsAtEntry(const Code& code, size_t argument_count = 1) {
  ProbePoint point = FindProbePoint(code, argument_count);
  EXPECT_EQ(point.registers, ProbePoint().registers);
  return point.offset == 0 && !point.is_emulated;
}

TEST(ProbePoint, IsTheEntryWhenThatIsEmulated) {
  for (const Code& code :
       {Code{0x55}, Code{0x41, 0x57}, Code{0x90}, Code{0xe8, 1, 0, 0, 0},
        Code{0xe9, 1, 0, 0, 0}, Code{0xeb, 1}, Code{0x74, 1},
        Code{0x0f, 0x84, 1, 0, 0, 0}}) {
    EXPECT_EQ(EmulatedAt(code + kRet), 0u);
  }
}

TEST(ProbePoint, IsTheFirstEmulatedInstructionAfterTheEntry) {
  EXPECT_EQ(EmulatedAt(kEndbr64 + kPushRbp), 4u);
  // glibc's free.
  EXPECT_EQ(EmulatedAt(kTestRdi + Code{0x74, 0x7f}), 3u);
  // glibc's memalign: cmpb $0x0,(%rip); je.
  EXPECT_EQ(EmulatedAt({0x80, 0x3d, 1, 2, 3, 4, 0, 0x74, 0x7f}), 7u);
}

TEST(ProbePoint, IsTheEntryWhenThereIsNoBetterOne) {
  EXPECT_TRUE(IsAtEntry({}));
  EXPECT_TRUE(IsAtEntry(kTestRdi));
  EXPECT_TRUE(IsAtEntry(kTestRdi + kRet + kPushRbp));
  EXPECT_TRUE(IsAtEntry(kTestRdi + Code{0x06} + kPushRbp));  // no instruction
  EXPECT_TRUE(IsAtEntry(kTestRdi + Code{0x0f, 0x84}));       // cut
}

TEST(ProbePoint, IsNeverANopOfFiveBytes) {
  EXPECT_EQ(EmulatedAt(kNop5 + kPushRbp), 5u);
  for (const Code& nop : {kNop5, Code{0x66, 0x0f, 0x1f, 0x40, 0x00}}) {
    ProbePoint point = FindProbePoint(nop + kRet, 1);
    EXPECT_EQ(point.offset, 5u);
    EXPECT_FALSE(point.is_emulated);
  }
  EXPECT_TRUE(IsAtEntry(kTestRdi + kNop5 + kRet));
  EXPECT_EQ(EmulatedAt(kTestRdi + kNop5 + kPushRbp), 8u);
}

TEST(ProbePoint, DoesNotTakeWhatOnlyLooksEmulated) {
  EXPECT_TRUE(IsAtEntry({0x66, 0x55, 0xc3}));        // push %bp
  EXPECT_TRUE(IsAtEntry({0xff, 0xe0}));              // jmp *%rax
  EXPECT_TRUE(IsAtEntry({0xff, 0xd0, 0x55}));        // call *%rax
  EXPECT_TRUE(IsAtEntry({0x6a, 0x01, 0x55}));        // push $1
  EXPECT_TRUE(IsAtEntry({0x48, 0x55, 0xc3}));        // rex.W push
  EXPECT_TRUE(IsAtEntry({0xf2, 0xe9, 1, 0, 0, 0}));  // bnd jmp
  EXPECT_TRUE(IsAtEntry({0x0f, 0x05, 0x55}));        // syscall
}

TEST(ProbePoint, IsNotBehindAChangeOfTheStackPointer) {
  EXPECT_TRUE(IsAtEntry(kSubRsp + kPushRbp));
  EXPECT_TRUE(IsAtEntry(Code{0xc9} + kPushRbp));        // leave
  EXPECT_TRUE(IsAtEntry(Code{0x48, 0x94} + kPushRbp));  // xchg %rax,%rsp
}

TEST(ProbePoint, IsNotBehindAWriteThroughAPointer) {
  EXPECT_TRUE(IsAtEntry(Code{0x48, 0x89, 0x07} + kPushRbp));  // to (%rdi)
  // mov %rax,-8(%rsp) and mov %rax,%fs:0x10.
  EXPECT_EQ(EmulatedAt(Code{0x48, 0x89, 0x44, 0x24, 0xf8} + kPushRbp), 5u);
  EXPECT_EQ(
      EmulatedAt(Code{0x64, 0x48, 0x89, 0x04, 0x25, 0x10, 0, 0, 0} + kPushRbp),
      9u);
}

TEST(ProbePoint, IsNotBehindTheLossOfAnArgument) {
  EXPECT_TRUE(IsAtEntry(kXorEdi + kPushRbp));
  Code lost_rsi = Code{0x31, 0xf6} + kPushRbp;
  EXPECT_EQ(EmulatedAt(lost_rsi), 2u);
  EXPECT_TRUE(IsAtEntry(lost_rsi, 2));
  // mul writes rdx without naming it; mov %edi,%eax copies a half.
  EXPECT_TRUE(IsAtEntry(Code{0x48, 0xf7, 0xe1} + kPushRbp, 3));
  EXPECT_TRUE(IsAtEntry(Code{0x89, 0xf8} + kXorEdi + kPushRbp));
}

TEST(ProbePoint, FindsArgumentsWhereTheyWereCopied) {
  ProbePoint point = FindProbePoint(kMovRaxRdi + kXorEdi + kPushRbp, 2);
  EXPECT_EQ(point.offset, 5u);
  EXPECT_THAT(point.registers, ElementsAre(kRax, kRsi, kRdx));
  // Back again, by way of r12.
  point = FindProbePoint(Code{0x49, 0x89, 0xfc} + kXorEdi + kPushRbp, 1);
  EXPECT_THAT(point.registers, ElementsAre(kR12, kRsi, kRdx));
  point = FindProbePoint(kMovRaxRdi + kXorEdi + Code{0x48, 0x89, 0xc7} +
                             Code{0x31, 0xc0} + kPushRbp,
                         1);
  EXPECT_THAT(point.registers, ElementsAre(kRdi, kRsi, kRdx));
  // mov %rsi,%rdi loses the first argument and keeps the second.
  EXPECT_TRUE(IsAtEntry(Code{0x48, 0x89, 0xf7} + kPushRbp, 2));
}

TEST(ProbePoint, KeepsWhatTwoArgumentsSwapThroughACopy) {
  // mov %rdi,%rax; mov %rsi,%rdi; mov %rax,%rsi
  ProbePoint point = FindProbePoint(
      kMovRaxRdi + Code{0x48, 0x89, 0xf7} + Code{0x48, 0x89, 0xc6} + kPushRbp,
      2);
  ASSERT_TRUE(point.is_emulated);
  EXPECT_THAT(point.registers, ElementsAre(kRax, kRdi, kRdx));
}

TEST(ProbePoint, IsNotWhereALoopReturnsTo) {
  Code loop = kTestRdi + Code{0x74, 0x02} + Code{0xeb, 0xf9};  // to the test
  EXPECT_EQ(EmulatedAt(loop), 3u);  // goes to the entry, as any call
  loop = kEndbr64 + kTestRdi + Code{0x74, 0x02} + Code{0xeb, 0xf9};
  EXPECT_TRUE(IsAtEntry(loop));
}

TEST(ProbePoint, IsNearTheEntry) {
  Code few;
  for (size_t i = 0; i + 1 < ProbePoint::kMaxInstructions; ++i) {
    few = few + kTestRdi;
  }
  EXPECT_EQ(EmulatedAt(few + kPushRbp), few.size());
  EXPECT_TRUE(IsAtEntry(few + kTestRdi + kPushRbp));
  const Code longest = {0x66, 0x66, 0x66, 0x66, 0x66, 0x2e, 0x0f,
                        0x1f, 0x84, 0x00, 0x00, 0x00, 0x00, 0x00};
  Code far;
  while (far.size() < ProbePoint::kMaxBytes) far = far + longest;
  EXPECT_TRUE(IsAtEntry(far + kPushRbp));
}

TEST(FindJumpAtEntry, TellsWhereAStubGoes) {
  EXPECT_EQ(FindJumpAtEntry(std::vector<uint8_t>{0xe9, 0xfb, 0xff, 0xff, 0xff}),
            0);
  EXPECT_EQ(FindJumpAtEntry(kEndbr64 + Code{0xeb, 0x10}), 22);
  EXPECT_EQ(FindJumpAtEntry(Code{0xe9, 0x00}), std::nullopt);
  EXPECT_EQ(FindJumpAtEntry(kPushRbp), std::nullopt);
}

}  // namespace
}  // namespace pprofd
