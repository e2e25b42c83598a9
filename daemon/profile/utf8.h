// Utf8: texts of targets made fit for a format that takes valid UTF-8 only.
//
// Thread: pure functions.
#ifndef DAEMON_PROFILE_UTF8_H_
#define DAEMON_PROFILE_UTF8_H_

#include <string>
#include <string_view>

namespace pprofd {

// No overlong forms, surrogates or numbers beyond U+10FFFF.
bool IsValidUtf8(std::string_view text);

// Every byte that is no part of a valid sequence becomes U+FFFD.
std::string ReplaceBadUtf8(std::string_view text);

}  // namespace pprofd

#endif  // DAEMON_PROFILE_UTF8_H_
