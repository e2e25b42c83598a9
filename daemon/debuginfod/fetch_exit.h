// FetchExit: how pprofd-debuginfod tells pprofd what became of a file.
//
// With kFailed there is one line on its standard output that says why. Ended by
// SIGXFSZ, it met a file larger than allowed.
#ifndef DAEMON_DEBUGINFOD_FETCH_EXIT_H_
#define DAEMON_DEBUGINFOD_FETCH_EXIT_H_

namespace pprofd {

enum class FetchExit : int {
  kFound = 0,
  kMissing = 10,  // no server has it
  kTooLarge = 11,
  kFailed = 12,
};

// Where the file is, in the folder that was given.
inline constexpr char kFetchedName[] = "fetched";

}  // namespace pprofd

#endif  // DAEMON_DEBUGINFOD_FETCH_EXIT_H_
