// A small bookkeeping program whose only purpose is its debug information:
// inlined calls in chains, functions of every kind that has a name of its own
// or none, and code from templates of the standard library.
#ifndef TESTS_SYMBOLS_PROGRAM_LEDGER_H_
#define TESTS_SYMBOLS_PROGRAM_LEDGER_H_

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

extern "C" {
uint64_t ledger_checksum(const char* text, size_t size);
int ledger_rank(const int* values, int count);
uint64_t ledger_count_bits(uint64_t value);
}

namespace ledger {

struct Cents {
  int64_t value = 0;

  Cents& operator+=(Cents other) {
    value = Saturate(value, other.value);
    return *this;
  }
  friend Cents operator+(Cents a, Cents b) { return a += b; }
  auto operator<=>(const Cents&) const = default;
  explicit operator bool() const { return value != 0; }

 private:
  static int64_t Saturate(int64_t a, int64_t b) {
    int64_t sum = 0;
    if (__builtin_add_overflow(a, b, &sum)) return Limit(a);
    return sum;
  }
  static int64_t Limit(int64_t a) { return a < 0 ? INT64_MIN : INT64_MAX; }
};

struct Deposit {
  Cents amount;
  std::string from;
};
struct Withdrawal {
  Cents amount;
};
struct Note {
  std::vector<std::string> words;
};
using Entry = std::variant<Deposit, Withdrawal, Note>;

// Three bases, so that there are thunks.
class Named {
 public:
  virtual ~Named() = default;
  virtual std::string Name() const = 0;
};
class Scored {
 public:
  virtual ~Scored() = default;
  virtual double Score(int round) const = 0;
};
class Shared {
 public:
  virtual ~Shared();
  int serial = 0;
};

class Account : public Named, public Scored, public virtual Shared {
 public:
  explicit Account(std::string name);
  ~Account() override;
  std::string Name() const override;
  double Score(int round) const override;
  void Add(Entry entry);
  Cents Balance() const;
  size_t size() const { return entries_.size(); }

  template <typename Visitor>
  void ForEach(Visitor visitor) const {
    for (const Entry& entry : entries_) visitor(entry);
  }

 private:
  struct Totals {
    Cents in;
    Cents out;
    void Count(const Entry& entry);
  };
  std::string name_;
  std::vector<Entry> entries_;
};

template <typename Key, typename Value, int kWays>
class Cache {
 public:
  template <typename Make>
  const Value& Get(const Key& key, Make make) {
    Way& way = ways_[Spread(std::hash<Key>()(key)) % kWays];
    if (!way.key || *way.key != key) way = {key, make(key)};
    ++uses_;
    return way.value;
  }
  static constexpr uint64_t Spread(uint64_t hash) {
    hash ^= hash >> 33;
    hash *= 0xff51afd7ed558ccdULL;
    return hash ^ hash >> 29;
  }
  int uses() const { return uses_; }

 private:
  struct Way {
    std::optional<Key> key;
    Value value{};
  };
  Way ways_[kWays];
  int uses_ = 0;
};

std::optional<Entry> ParseEntry(std::string_view line);
std::string FormatReport(const std::vector<std::unique_ptr<Account>>& accounts);
uint64_t RunQueries(std::map<std::string, std::vector<Cents>>& books);
uint64_t RunGenerators(int rounds);
uint64_t RunClosures(int rounds);
uint64_t RunWorkers(int rounds);

}  // namespace ledger

#endif  // TESTS_SYMBOLS_PROGRAM_LEDGER_H_
