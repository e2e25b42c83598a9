#include "symbolizer/cache_writer.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <string>

namespace pprofd {
namespace {

// Most that a record takes, its part of the group's start included.
constexpr uint64_t kMaxTextOverhead = 8;
constexpr uint64_t kMaxFunctionBytes = 21;
constexpr uint64_t kMaxCallBytes = 21;
constexpr uint64_t kMaxAddressBytes = 16;
constexpr uint64_t kRoomBytes =
    kMaxCacheFileBytes - sizeof(CacheHeader) - kCacheTables * 32;

uint64_t Zigzag(uint64_t difference) {
  return (difference << 1) ^ (uint64_t{0} - (difference >> 63));
}

template <typename T>
void AppendRaw(std::vector<uint8_t>& bytes, const T& value) {
  std::array<uint8_t, sizeof(T)> raw;
  std::memcpy(raw.data(), &value, sizeof(T));
  bytes.insert(bytes.end(), raw.begin(), raw.end());
}

// One table in the making.
class RecordWriter {
 public:
  // True for the first of a group.
  bool Begin() {
    bool is_first = records_++ % kGroup == 0;
    if (is_first) starts_.push_back(static_cast<uint32_t>(payload_.size()));
    return is_first;
  }
  void Uleb(uint64_t value) {
    for (; value >= 0x80; value >>= 7) {
      payload_.push_back(static_cast<uint8_t>(value | 0x80));
    }
    payload_.push_back(static_cast<uint8_t>(value));
  }
  void U64(uint64_t value) { AppendRaw(payload_, value); }
  void Text(std::string_view text) {
    payload_.insert(payload_.end(), text.begin(), text.end());
  }

  CacheHeader::Table header() const {
    return {.records = records_,
            .payload_bytes = static_cast<uint32_t>(payload_.size())};
  }
  void AppendTo(std::vector<uint8_t>& bytes) const {
    for (uint32_t start : starts_) AppendRaw(bytes, start);
    bytes.insert(bytes.end(), payload_.begin(), payload_.end());
  }

 private:
  uint32_t records_ = 0;
  std::vector<uint32_t> starts_;
  std::vector<uint8_t> payload_;
};

}  // namespace

uint32_t CacheWriter::AddText(std::string_view text) {
  size_t before = pool_.strings().size();
  uint32_t number = pool_.strings().Add(text);
  if (pool_.strings().size() > before) {
    max_bytes_ += text.size() + kMaxTextOverhead;
  }
  return number;
}

std::optional<uint32_t> CacheWriter::AddFunction(std::string_view name,
                                                 std::string_view linkage_name,
                                                 std::string_view file,
                                                 uint32_t start_line) {
  if (std::max({name.size(), linkage_name.size(), file.size()}) >
      kMaxCachedText) {
    return std::nullopt;
  }
  uint32_t number = pool_.AddFunction({.name = AddText(name),
                                       .linkage_name = AddText(linkage_name),
                                       .file = AddText(file),
                                       .start_line = start_line});
  if (number == function_count_) {
    ++function_count_;
    max_bytes_ += kMaxFunctionBytes;
  }
  return number;
}

bool CacheWriter::Add(uint64_t address,
                      std::span<const CacheFile::Call> calls) {
  if (calls.size() > kMaxCachedCalls) return true;
  if (max_bytes_ + kMaxAddressBytes + calls.size() * kMaxCallBytes >
      kRoomBytes) {
    return false;
  }
  auto [it, is_new] = addresses_.try_emplace(address, 0);
  if (!is_new) return true;
  max_bytes_ += kMaxAddressBytes;
  uint32_t parent = 0;
  for (size_t i = calls.size(); i-- > 0;) {
    Node node{.parent = parent, .call = calls[i]};
    auto [known, is_new_node] =
        node_index_.try_emplace(node, static_cast<uint32_t>(nodes_.size()));
    if (is_new_node) {
      nodes_.push_back(node);
      max_bytes_ += kMaxCallBytes;
    }
    parent = known->second + 1;
  }
  it->second = parent;
  return true;
}

// Numbers and writes what is reached from the addresses, in their order.
class CacheWriter::Numbering {
 public:
  explicit Numbering(const CacheWriter& writer)
      : writer_(writer),
        functions_(writer.function_count_, kNone),
        nodes_(writer.nodes_.size(), kNone),
        texts_(writer.pool_.strings().size(), kNone) {}

  std::vector<uint8_t> Write() {
    std::vector<std::pair<uint64_t, uint32_t>> addresses(
        writer_.addresses_.begin(), writer_.addresses_.end());
    std::sort(addresses.begin(), addresses.end());
    uint64_t last_address = 0;
    uint64_t last_call = 0;
    RecordWriter& table = tables_[kAddresses];
    for (const auto& [address, node] : addresses) {
      uint64_t call = node == 0 ? 0 : WriteCall(node - 1) + uint64_t{1};
      if (table.Begin()) {
        table.U64(address);
        last_address = address;
        last_call = 0;
      }
      table.Uleb(address - last_address);
      table.Uleb(Zigzag(call - last_call));
      last_address = address;
      last_call = call;
    }
    WriteTexts();
    WriteFunctions();
    return Join();
  }

 private:
  static constexpr uint32_t kNone = UINT32_MAX;

  // Its callers before it.
  uint32_t WriteCall(uint32_t node) {
    std::vector<uint32_t> path;
    while (nodes_[node] == kNone) {
      path.push_back(node);
      uint32_t parent = writer_.nodes_[node].parent;
      if (parent == 0) break;
      node = parent - 1;
    }
    uint32_t number = nodes_[node];
    while (!path.empty()) {
      number = WriteOneCall(writer_.nodes_[path.back()]);
      nodes_[path.back()] = number;
      path.pop_back();
    }
    return number;
  }

  uint32_t WriteOneCall(const Node& node) {
    RecordWriter& table = tables_[kCalls];
    uint32_t number = next_call_++;
    table.Begin();
    table.Uleb(node.parent == 0 ? 0 : number - nodes_[node.parent - 1]);
    table.Uleb(NumberOf(node.call.function));
    table.Uleb(node.call.line);
    table.Uleb(node.call.column);
    return number;
  }

  uint32_t NumberOf(uint32_t function) {
    uint32_t& number = functions_[function];
    if (number == kNone) {
      number = static_cast<uint32_t>(function_order_.size());
      function_order_.push_back(function);
    }
    return number;
  }

  void WriteTexts() {
    const StringPool& strings = writer_.pool_.strings();
    std::vector<uint32_t> order;
    auto use = [&](uint32_t text) {
      if (texts_[text] == kNone) order.push_back(text);
      texts_[text] = 0;
    };
    for (uint32_t number : function_order_) {
      const PooledFunction& function = writer_.pool_.function(number);
      use(function.name);
      use(function.linkage_name);
      use(function.file);
    }
    std::sort(order.begin(), order.end(), [&](uint32_t a, uint32_t b) {
      return strings.Get(a) < strings.Get(b);
    });
    RecordWriter& table = tables_[kStrings];
    std::string_view last;
    uint32_t count = 0;
    for (uint32_t number : order) {
      std::string_view text = strings.Get(number);
      size_t shared = 0;
      if (!table.Begin()) {
        size_t limit = std::min(text.size(), last.size());
        while (shared < limit && text[shared] == last[shared]) ++shared;
      }
      table.Uleb(shared);
      table.Uleb(text.size() - shared);
      table.Text(text.substr(shared));
      texts_[number] = count++;
      last = text;
    }
  }

  void WriteFunctions() {
    RecordWriter& table = tables_[kFunctions];
    for (uint32_t number : function_order_) {
      const PooledFunction& function = writer_.pool_.function(number);
      table.Begin();
      table.Uleb(texts_[function.name]);
      table.Uleb(texts_[function.linkage_name]);
      table.Uleb(texts_[function.file]);
      table.Uleb(function.start_line);
    }
  }

  std::vector<uint8_t> Join() const {
    CacheHeader header;
    std::vector<uint8_t> bytes(sizeof(header));
    for (size_t i = 0; i < kCacheTables; ++i) {
      header.tables[i] = tables_[i].header();
      tables_[i].AppendTo(bytes);
    }
    header.file_bytes =
        static_cast<uint32_t>(bytes.size() + sizeof(XXH64_hash_t));
    std::memcpy(bytes.data(), &header, sizeof(header));
    AppendRaw(bytes, XXH3_64bits(bytes.data(), bytes.size()));
    return bytes;
  }

  const CacheWriter& writer_;
  std::array<RecordWriter, kCacheTables> tables_;
  // New numbers by old ones.
  std::vector<uint32_t> functions_;
  std::vector<uint32_t> nodes_;
  std::vector<uint32_t> texts_;
  std::vector<uint32_t> function_order_;
  uint32_t next_call_ = 0;
};

std::vector<uint8_t> CacheWriter::Finish() const {
  return Numbering(*this).Write();
}

}  // namespace pprofd
