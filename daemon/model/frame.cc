#include "daemon/model/frame.h"

namespace pprofd {

const char* ReasonText(uint32_t reason) {
  switch (reason) {
#define TRUNCATE_REASON(number, name, text) \
  case number:                              \
    return text;
#define DROP_REASON(number, name, text) \
  case number:                          \
    return text;
#include "bpf/drop_reasons.def"
    default:
      return "unknown reason";
  }
}

}  // namespace pprofd
