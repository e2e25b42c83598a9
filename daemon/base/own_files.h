// OwnFiles: where pprofd finds the other files that it comes with.
// Thread: any.
#ifndef DAEMON_BASE_OWN_FILES_H_
#define DAEMON_BASE_OWN_FILES_H_

#include <string>
#include <string_view>

namespace pprofd {

// The path of a file in the folder of the running program.
std::string BesideProgram(std::string_view name);

}  // namespace pprofd

#endif  // DAEMON_BASE_OWN_FILES_H_
