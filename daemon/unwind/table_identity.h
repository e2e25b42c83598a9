// TableIdentity: what two files must have in common to share an unwind table.
//
// A build ID alone is the file's own word: one forged copy with garbage in its
// .eh_frame would spoil the stacks of the real file. So the identity is the
// build ID and a hash of everything the table is made from, seeded at random,
// so that nobody can aim at a collision.
// Thread: any; pure but for the seed, drawn once.
// Fails: empty (share with nobody) without build ID or section headers.
#ifndef DAEMON_UNWIND_TABLE_IDENTITY_H_
#define DAEMON_UNWIND_TABLE_IDENTITY_H_

#include <cstdint>
#include <span>

#include "daemon/model/ids.h"

namespace pprofd {

BuildId TableIdentity(std::span<const uint8_t> file_bytes);

}  // namespace pprofd

#endif  // DAEMON_UNWIND_TABLE_IDENTITY_H_
