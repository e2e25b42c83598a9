// ModuleOpener: from "a file is executed that I have no number for" to Module.
//
// Tried in this order, until a file is found that is the mapped one:
//   1. /proc/PID/map_files/START-LIMIT: also for deleted files and memfds;
//   2. the path that /proc/PID/maps shows, inside /proc/PID/root;
//   3. the process has left: the path inside its file system, wherever our own
//      mounts show it.
// A path of a target is a trap until shown otherwise: it is resolved inside the
// target's root without magic links (openat2), held by O_PATH until it is known
// to be a regular file, and only then opened for reading, without waiting. What
// was found by path must equal the kernel's key (inode, change time, device);
// what map_files gave is only checked against a mapping that was replaced.
// Thread: any; functions are free of state. Does I/O; a file system that hangs
//   (FUSE, NFS) holds the calling thread.
// Fails: never; a Module without a file says why in unavailable_reason. What is
//   in the file is not looked at: see SymbolizerClient::DescribeModule.
//   Counters modules_opened, modules_open_failed.
#ifndef DAEMON_PROCESS_MODULE_OPENER_H_
#define DAEMON_PROCESS_MODULE_OPENER_H_

#include <string>

#include "daemon/model/module.h"
#include "daemon/model/sample.h"
#include "daemon/process/proc_files.h"
#include "daemon/process/proc_maps.h"

namespace pprofd {

Module OpenModule(const NewModuleEvent& event,
                  const std::string& proc_root = kProcRoot);
// The same for a line of the process's /proc/PID/maps, whose file gets
// `number`.
Module OpenMappedModule(const ProcessKey& process, const ProcMapping& line,
                        ModuleId number = ModuleId::kNone);

// The module ModuleId::kVdso: our own vDSO image, which every 64-bit process of
// this kernel shares, copied to a sealed memfd so that it reads like a file.
Module MakeVdsoModule();

}  // namespace pprofd

#endif  // DAEMON_PROCESS_MODULE_OPENER_H_
