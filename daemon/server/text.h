// Text from hostile places (process names, command lines), made fit to show.
//
// Thread: pure functions.
#ifndef DAEMON_SERVER_TEXT_H_
#define DAEMON_SERVER_TEXT_H_

#include <cstddef>
#include <string>
#include <string_view>

namespace pprofd {

// Valid UTF-8 on one line: bytes that are no UTF-8 become U+FFFD, control
// characters and line breaks become blanks.
std::string OneLine(std::string_view text);

// OneLine, with & < > " ' escaped; fit for HTML text and quoted attributes.
std::string HtmlText(std::string_view text);

// The first `max_bytes` of OneLine at most, cut between characters, with an
// ellipsis when something is missing.
std::string Shortened(std::string_view text, size_t max_bytes);

}  // namespace pprofd

#endif  // DAEMON_SERVER_TEXT_H_
