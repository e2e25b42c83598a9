#include "daemon/model/ids.h"

namespace pprofd {

std::string BuildId::Hex() const {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string hex;
  hex.reserve(bytes_.size() * 2);
  for (unsigned char byte : bytes_) {
    hex += kDigits[byte >> 4];
    hex += kDigits[byte & 15];
  }
  return hex;
}

}  // namespace pprofd
