#include <cstdio>
#include <fstream>
#include <iostream>

#include "ledger.h"

namespace {
uint64_t Helper(uint64_t value) { return value * 7 + 1; }

template <typename T>
std::vector<T> MakeValues(int count, uint64_t seed) {
  std::vector<T> values;
  for (int i = 0; i < count; ++i) {
    seed = Helper(seed);
    values.push_back(T{static_cast<int64_t>(seed % 1000)});
  }
  return values;
}

}  // namespace

int main(int argc, char** argv) {
  std::ifstream file(argc > 1 ? argv[1] : "/dev/null");
  std::vector<std::unique_ptr<ledger::Account>> accounts;
  accounts.push_back(std::make_unique<ledger::Account>("house"));
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("account ")) {
      accounts.push_back(std::make_unique<ledger::Account>(line.substr(8)));
    } else if (auto entry = ledger::ParseEntry(line)) {
      accounts.back()->Add(std::move(*entry));
    } else {
      std::cerr << "not understood: " << line << "\n";
    }
  }
  std::map<std::string, std::vector<ledger::Cents>> books;
  for (const auto& account : accounts) {
    books[account->Name()] = MakeValues<ledger::Cents>(500, account->serial);
  }
  std::cout << ledger::FormatReport(accounts);
  uint64_t sum = ledger::RunQueries(books) + ledger::RunGenerators(argc * 30) +
                 ledger::RunClosures(argc * 100) + ledger::RunWorkers(200);
  int ranks[] = {3, 1, 2, argc};
  std::printf("%llu %d\n", static_cast<unsigned long long>(sum),
              ledger_rank(ranks, 4));
}
