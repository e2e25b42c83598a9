#include <algorithm>
#include <numeric>
#include <stdexcept>

#include "ledger.h"

namespace ledger {
namespace {

template <typename... Handlers>
struct Overloaded : Handlers... {
  using Handlers::operator()...;
};
template <typename... Handlers>
Overloaded(Handlers...) -> Overloaded<Handlers...>;

// Also in other files, with other code.
[[gnu::noinline]] int Helper(int value) {
  return value * 31 + static_cast<int>(ledger_count_bits(value));
}

[[gnu::cold, gnu::noinline]] void Refuse(const std::string& why) {
  throw std::invalid_argument("refused: " + why);
}

}  // namespace

Shared::~Shared() = default;

Account::Account(std::string name) : name_(std::move(name)) {
  if (name_.empty()) Refuse("no name");
  serial = Helper(static_cast<int>(name_.size()));
}

Account::~Account() = default;

std::string Account::Name() const {
  return name_ + "#" + std::to_string(serial);
}

double Account::Score(int round) const {
  struct Weight {
    double base;
    double At(int i) const { return base / (1 + i); }
  };
  double score = 0;
  Weight weight{static_cast<double>(Balance().value)};
  for (int i = 0; i < round; ++i) score += weight.At(i);
  return score;
}

void Account::Totals::Count(const Entry& entry) {
  std::visit(
      Overloaded{[this](const Deposit& deposit) { in += deposit.amount; },
                 [this](const Withdrawal& taken) { out += taken.amount; },
                 [](const Note& note) {
                   if (note.words.size() > 1000) Refuse("too long a note");
                 }},
      entry);
}

void Account::Add(Entry entry) {
  if (auto* deposit = std::get_if<Deposit>(&entry);
      deposit != nullptr && deposit->amount < Cents{0}) {
    Refuse("a negative deposit from " + deposit->from);
  }
  entries_.push_back(std::move(entry));
}

Cents Account::Balance() const {
  Totals totals;
  ForEach([&totals](const Entry& entry) { totals.Count(entry); });
  Cents out{-totals.out.value};
  return totals.in + out;
}

}  // namespace ledger
