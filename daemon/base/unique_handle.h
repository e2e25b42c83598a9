// UniqueHandle: a move-only owner of something that must be released once.
//
// Thread: one owner; moving is the only way to hand it on.
#ifndef DAEMON_BASE_UNIQUE_HANDLE_H_
#define DAEMON_BASE_UNIQUE_HANDLE_H_

#include <dirent.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>

namespace pprofd {

// Traits: `using Value`, `static Value Null()`, `static void Release(Value)`.
template <typename Traits>
class UniqueHandle {
 public:
  using Value = typename Traits::Value;

  UniqueHandle() = default;
  explicit UniqueHandle(Value value) : value_(value) {}
  ~UniqueHandle() { Reset(); }

  UniqueHandle(const UniqueHandle&) = delete;
  UniqueHandle& operator=(const UniqueHandle&) = delete;
  UniqueHandle(UniqueHandle&& other) noexcept : value_(other.Take()) {}
  UniqueHandle& operator=(UniqueHandle&& other) noexcept {
    if (this != &other) Reset(other.Take());
    return *this;
  }

  Value get() const { return value_; }
  explicit operator bool() const { return !(value_ == Traits::Null()); }

  // Gives up ownership without releasing.
  Value Take() { return std::exchange(value_, Traits::Null()); }
  void Reset(Value value = Traits::Null()) {
    Value old = std::exchange(value_, value);
    if (!(old == Traits::Null())) Traits::Release(old);
  }

 private:
  Value value_ = Traits::Null();
};

struct FdTraits {
  using Value = int;
  static int Null() { return -1; }
  static void Release(int fd) { ::close(fd); }
};
using UniqueFd = UniqueHandle<FdTraits>;

struct DirTraits {
  using Value = DIR*;
  static DIR* Null() { return nullptr; }
  static void Release(DIR* dir) { ::closedir(dir); }
};
using UniqueDir = UniqueHandle<DirTraits>;

// The bytes of a mapping made with mmap().
struct MemoryMapTraits {
  struct Value {
    uint8_t* data = nullptr;
    size_t size = 0;
    bool operator==(const Value&) const = default;
  };
  static Value Null() { return {}; }
  static void Release(Value map) { ::munmap(map.data, map.size); }
};
using MemoryMap = UniqueHandle<MemoryMapTraits>;

inline std::span<const uint8_t> Bytes(const MemoryMap& map) {
  return {map.get().data, map.get().size};
}

}  // namespace pprofd

#endif  // DAEMON_BASE_UNIQUE_HANDLE_H_
