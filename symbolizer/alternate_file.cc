#include "symbolizer/alternate_file.h"

#include <string_view>

#include "symbolizer/byte_reader.h"

namespace pprofd {
namespace {

constexpr uint64_t kMaxLinkBytes = 8192;
constexpr uint64_t kMaxIdentityBytes = 64;

// .debug_sup, of the file that links or of the one that is linked to.
struct Supplement {
  bool is_target = false;
  std::string path;
  BuildId checksum;
};

BuildId ToIdentity(std::span<const uint8_t> bytes) {
  if (bytes.size() > kMaxIdentityBytes) return BuildId();
  return BuildId(std::string(bytes.begin(), bytes.end()));
}

std::optional<Supplement> ReadSupplement(const ElfFile& file) {
  const ElfSection* section = file.FindSection(".debug_sup");
  if (section == nullptr) return std::nullopt;
  std::vector<uint8_t> storage;
  auto bytes = file.ReadSection(*section, storage, kMaxLinkBytes);
  if (!bytes.ok()) return std::nullopt;
  ByteReader reader(*bytes);
  uint16_t version = reader.U16();
  Supplement supplement;
  supplement.is_target = reader.U8() == 1;
  supplement.path = reader.CString();
  supplement.checksum = ToIdentity(reader.Bytes(reader.Uleb()));
  if (!reader.ok() || version < 2 || version > 5) return std::nullopt;
  return supplement;
}

// Empty if the file at `fd` is the one that is linked to.
std::string WhyNotAlternate(int fd, const AlternateLink& link) {
  auto map = MapFile(fd);
  if (!map.ok()) return map.status().message();
  auto elf = ElfFile::Parse(Bytes(*map));
  if (!elf.ok()) return elf.status().message();
  if (!link.is_supplementary) {
    return elf->build_id() == link.identity ? "" : "other build ID";
  }
  auto supplement = ReadSupplement(*elf);
  if (!supplement || !supplement->is_target) return "no supplementary file";
  return supplement->checksum == link.identity ? "" : "other checksum";
}

std::vector<std::string> ListPaths(const AlternateLink& link,
                                   const DebugFile& holder,
                                   const DebugFileSearch& search) {
  std::vector<std::string> paths;
  if (!link.is_supplementary) paths = BuildIdPaths(link.identity, search);
  if (link.path.starts_with('/')) {
    paths.push_back(link.path);
  } else {
    std::string folder = FolderOf(holder.path);
    std::string real_folder = FolderOf(holder.real_path);
    paths.push_back(folder + "/" + link.path);
    if (!real_folder.empty() && real_folder != folder) {
      paths.push_back(real_folder + "/" + link.path);
    }
  }
  size_t shared = ("/" + link.path).find("/.dwz/");
  if (shared != std::string::npos) {
    for (const std::string& debug_root : search.debug_roots) {
      paths.push_back(debug_root + "/" + link.path.substr(shared));
    }
  }
  return paths;
}

}  // namespace

std::optional<AlternateLink> ReadAlternateLink(const ElfFile& file) {
  if (auto supplement = ReadSupplement(file)) {
    if (supplement->is_target || supplement->path.empty() ||
        supplement->checksum.empty()) {
      return std::nullopt;
    }
    return AlternateLink{.path = supplement->path,
                         .identity = supplement->checksum,
                         .is_supplementary = true};
  }
  const ElfSection* section = file.FindSection(".gnu_debugaltlink");
  if (section == nullptr) return std::nullopt;
  std::vector<uint8_t> storage;
  auto bytes = file.ReadSection(*section, storage, kMaxLinkBytes);
  if (!bytes.ok()) return std::nullopt;
  ByteReader reader(*bytes);
  AlternateLink link{.path = std::string(reader.CString()), .identity = {}};
  link.identity = ToIdentity(reader.Bytes(reader.remaining()));
  if (link.path.empty() || link.identity.empty()) return std::nullopt;
  return link;
}

DebugFile FindAlternateFile(const AlternateLink& link, const DebugFile& holder,
                            const DebugFileSearch& search,
                            std::vector<std::string>& attempts) {
  auto why_unfit = [&](int fd) { return WhyNotAlternate(fd, link); };
  DebugFile found = OpenFirstFit(ListPaths(link, holder, search), search,
                                 why_unfit, attempts);
  if (!found.fd && !link.is_supplementary) {
    found = OpenByBuildId(link.identity, search, why_unfit, attempts);
  }
  attempts.push_back(found.fd ? "alternate debug file: " + found.Shown()
                              : "alternate debug file: no " + link.path +
                                    " with ID " + link.identity.Hex());
  return found;
}

}  // namespace pprofd
