#include "daemon/base/status.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <memory>

namespace pprofd {
namespace {

Result<int> Half(int number) {
  if (number % 2 != 0) return Status(StatusCode::kInvalid, "odd");
  return number / 2;
}

Result<int> Quarter(int number) {
  ASSIGN_OR_RETURN(int half, Half(number));
  ASSIGN_OR_RETURN(int quarter, Half(half));
  return quarter;
}

TEST(Status, NamesTheErrnoAndItsCode) {
  Status status = Status::FromErrno(EACCES, "open x");
  EXPECT_EQ(status.code(), StatusCode::kDenied);
  EXPECT_EQ(status.ToString(), "Denied: open x: Permission denied");
}

TEST(Status, AddsContextInFront) {
  Status status = Status(StatusCode::kIo, "broken").WithContext("module y");
  EXPECT_EQ(status.message(), "module y: broken");
  EXPECT_EQ(status.code(), StatusCode::kIo);
  EXPECT_TRUE(Status::Ok().WithContext("any").ok());
}

TEST(Result, PassesErrorsOn) {
  EXPECT_EQ(*Quarter(8), 2);
  EXPECT_EQ(Quarter(6).status().message(), "odd");
}

TEST(Result, HoldsWhatCanOnlyBeMoved) {
  Result<std::unique_ptr<int>> result = std::make_unique<int>(7);
  std::unique_ptr<int> taken = std::move(result).value();
  EXPECT_EQ(*taken, 7);
}

}  // namespace
}  // namespace pprofd
