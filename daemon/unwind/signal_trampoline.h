// SignalTrampoline: finds rt_sigreturn routines without unwind information.
//
// glibc describes its routine; musl and Go do not. Every return from a signal
// handler goes through `mov $15, %eax; syscall`, in one of two encodings.
// Thread: pure.
// Bound: kMaxScannedBytes of text.
#ifndef DAEMON_UNWIND_SIGNAL_TRAMPOLINE_H_
#define DAEMON_UNWIND_SIGNAL_TRAMPOLINE_H_

#include <cstdint>
#include <span>
#include <vector>

#include "daemon/unwind/row_list.h"

namespace pprofd {

inline constexpr uint64_t kMaxScannedBytes = 64u << 20;

// The routines inside the `gaps` of a file, ascending. Each range starts one
// byte below the routine: its address is met as a return address, which is
// looked up one byte below.
std::vector<FileRange> FindSignalTrampolines(
    std::span<const uint8_t> file_bytes, const std::vector<FileRange>& gaps);

}  // namespace pprofd

#endif  // DAEMON_UNWIND_SIGNAL_TRAMPOLINE_H_
