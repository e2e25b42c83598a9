// PageFrame: the beginning and end of every HTML page, its style inside.
//
// Thread: pure functions.
#ifndef DAEMON_SERVER_PAGE_FRAME_H_
#define DAEMON_SERVER_PAGE_FRAME_H_

#include <string>
#include <string_view>

namespace pprofd {

// `title` is no text from outside.
std::string PageHead(std::string_view title);
std::string PageEnd(std::string_view host_description);

}  // namespace pprofd

#endif  // DAEMON_SERVER_PAGE_FRAME_H_
