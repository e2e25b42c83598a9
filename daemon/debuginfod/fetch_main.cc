// pprofd-debuginfod: fetches one debug file by build ID, checks it and ends.
//
//   pprofd-debuginfod BUILD-ID MAX-BYTES FOLDER
//
// FOLDER exists and is empty; the file is put there as kFetchedName. The
// servers are those of $DEBUGINFOD_URLS. A process of its own, without
// capabilities, since what TLS, HTTP and compression are fed comes from
// elsewhere; pprofd may kill it at any time. Answers as fetch_exit.h says.
#include <elfutils/debuginfod.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <sys/capability.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <climits>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <string>
#include <string_view>

#include "daemon/base/status.h"
#include "daemon/base/unique_handle.h"
#include "daemon/debuginfod/fetch_exit.h"
#include "symbolizer/elf_file.h"

namespace pprofd {
namespace {

struct Order {
  std::string build_id;  // hexadecimal
  uint64_t max_bytes = 0;
  std::string folder;
};

FetchExit Fail(const std::string& why) {
  printf("%s\n", why.c_str());
  return FetchExit::kFailed;
}

// Nothing is written, made, moved or removed but below `folder`. Kernels whose
// Landlock cannot allow files to be moved (before 5.19) go without.
Status WriteOnlyBelow(const std::string& folder) {
  constexpr uint64_t kWrites =
      LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_REMOVE_DIR |
      LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_MAKE_CHAR |
      LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_MAKE_REG |
      LANDLOCK_ACCESS_FS_MAKE_SOCK | LANDLOCK_ACCESS_FS_MAKE_FIFO |
      LANDLOCK_ACCESS_FS_MAKE_BLOCK | LANDLOCK_ACCESS_FS_MAKE_SYM |
      LANDLOCK_ACCESS_FS_REFER;
  if (syscall(SYS_landlock_create_ruleset, nullptr, 0,
              LANDLOCK_CREATE_RULESET_VERSION) < 2) {
    return Status::Ok();
  }
  landlock_ruleset_attr ruleset = {};
  ruleset.handled_access_fs = kWrites | LANDLOCK_ACCESS_FS_EXECUTE;
  // All versions of the interface know this field.
  UniqueFd rules(
      static_cast<int>(syscall(SYS_landlock_create_ruleset, &ruleset,
                               sizeof(ruleset.handled_access_fs), 0)));
  if (!rules) return Status::FromErrno(errno, "Landlock");
  UniqueFd parent(open(folder.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!parent) return Status::FromErrno(errno, folder);
  landlock_path_beneath_attr beneath = {};
  beneath.allowed_access = kWrites;
  beneath.parent_fd = parent.get();
  if (syscall(SYS_landlock_add_rule, rules.get(), LANDLOCK_RULE_PATH_BENEATH,
              &beneath, 0) != 0 ||
      syscall(SYS_landlock_restrict_self, rules.get(), 0) != 0) {
    return Status::FromErrno(errno, "Landlock");
  }
  return Status::Ok();
}

Status Confine(const Order& order) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  close_range(3, UINT_MAX, 0);
  rlimit no_core = {0, 0};
  setrlimit(RLIMIT_CORE, &no_core);
  rlimit file_size = {order.max_bytes, order.max_bytes};
  if (setrlimit(RLIMIT_FSIZE, &file_size) != 0) {
    return Status::FromErrno(errno, "RLIMIT_FSIZE");
  }
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) {
    return Status::FromErrno(errno, "no_new_privs");
  }
  RETURN_IF_ERROR(WriteOnlyBelow(order.folder));
  cap_t none = cap_init();
  bool is_bare = none != nullptr && cap_set_proc(none) == 0;
  int error = errno;
  cap_free(none);
  return is_bare ? Status::Ok() : Status::FromErrno(error, "capabilities");
}

// Empty if the file is the one that was asked for.
std::string WhyNotAsked(int fd, const std::string& build_id) {
  auto map = MapFile(fd);
  if (!map.ok()) return map.status().message();
  auto elf = ElfFile::Parse(Bytes(*map));
  if (!elf.ok()) return elf.status().message();
  return elf->build_id().Hex() == build_id ? "" : "other build ID";
}

FetchExit Fetch(const Order& order) {
  debuginfod_client* client = debuginfod_begin();
  if (client == nullptr) return Fail("libdebuginfod does not start");
  char* path = nullptr;
  UniqueFd file(debuginfod_find_debuginfo(
      client,
      // The interface takes text as bytes, of length 0.
      reinterpret_cast<const unsigned char*>(order.build_id.c_str()), 0,
      &path));
  int error = file.get() < 0 ? -file.Take() : 0;
  std::string found = path == nullptr ? "" : path;
  free(path);
  debuginfod_end(client);
  if (error == ENOENT) return FetchExit::kMissing;
  if (error == EFBIG) return FetchExit::kTooLarge;
  if (error == EIO) {
    return Fail("cannot be written: larger than " +
                std::to_string(order.max_bytes) +
                " bytes, or the disk is full");
  }
  if (error != 0) return Fail(strerror(error));
  std::string reason = WhyNotAsked(file.get(), order.build_id);
  if (!reason.empty()) return Fail("what the server sent is unfit: " + reason);
  std::string wanted = order.folder + "/" + kFetchedName;
  if (rename(found.c_str(), wanted.c_str()) != 0) return Fail(strerror(errno));
  return FetchExit::kFound;
}

FetchExit Main(int argc, char** argv) {
  // Started by a descriptor, it would be called by that number.
  prctl(PR_SET_NAME, "pprofd-debuginfod");
  Order order;
  std::string_view size = argc == 4 ? argv[2] : "";
  auto [end, problem] =
      std::from_chars(size.data(), size.data() + size.size(), order.max_bytes);
  if (argc != 4 || problem != std::errc() || end != size.data() + size.size()) {
    return Fail("usage: pprofd-debuginfod BUILD-ID MAX-BYTES FOLDER");
  }
  order.build_id = argv[1];
  order.folder = argv[3];
  Status status = Confine(order);
  if (!status.ok()) return Fail(status.message());
  return Fetch(order);
}

}  // namespace
}  // namespace pprofd

int main(int argc, char** argv) {
  // Nothing of ours throws; libraries may, when memory is short.
  try {
    return static_cast<int>(pprofd::Main(argc, argv));
  } catch (const std::exception& error) {
    return static_cast<int>(pprofd::Fail(error.what()));
  }
}
