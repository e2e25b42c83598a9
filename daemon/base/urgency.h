// Urgency: lets a thread run as soon as it has work.
//
// For what samples wait for: short work, often. A high weight alone lets it run
// long, not soon: since 6.6 kernels finish the time slice of whoever runs, of
// some milliseconds, before they look at weights; since 6.12 a thread that asks
// for short slices goes first.
// Thread: any.
#ifndef DAEMON_BASE_URGENCY_H_
#define DAEMON_BASE_URGENCY_H_

#include <sys/types.h>

namespace pprofd {

// `thread` is a thread's number, 0 for the calling one. Its weight needs
// CAP_SYS_NICE; without it, or on kernels that know no slices, work is done a
// little later.
void MakeUrgent(pid_t thread);

}  // namespace pprofd

#endif  // DAEMON_BASE_URGENCY_H_
