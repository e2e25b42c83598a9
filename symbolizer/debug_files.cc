#include "symbolizer/debug_files.h"

#include <zlib.h>

#include <algorithm>

#include "symbolizer/byte_reader.h"

namespace pprofd {
namespace {

uint32_t Crc(std::span<const uint8_t> bytes) {
  uLong crc = crc32(0, nullptr, 0);
  constexpr size_t kChunk = 1 << 24;
  for (size_t i = 0; i < bytes.size(); i += kChunk) {
    auto part = bytes.subspan(i, std::min(kChunk, bytes.size() - i));
    crc = crc32(crc, part.data(), static_cast<uInt>(part.size()));
  }
  return static_cast<uint32_t>(crc);
}

// Empty if the file at `fd` is the module's debug file, else why it is not.
std::string WhyNotDebugFile(int fd, const BuildId& build_id,
                            const std::optional<DebugLink>& link) {
  auto map = MapFile(fd);
  if (!map.ok()) return map.status().message();
  auto elf = ElfFile::Parse(Bytes(*map));
  if (!elf.ok()) return elf.status().message();
  BuildId found = elf->build_id();
  if (!build_id.empty() && !found.empty()) {
    return found == build_id ? "" : "other build ID";
  }
  if (!link) return "no build ID";
  if (Bytes(*map).size() > kMaxCrcBytes) return "too large for a CRC";
  return Crc(Bytes(*map)) == link->crc ? "" : "other CRC";
}

std::vector<std::string> ListPaths(const BuildId& build_id,
                                   const std::optional<DebugLink>& link,
                                   const DebugFileSearch& search) {
  std::vector<std::string> paths = BuildIdPaths(build_id, search);
  if (link && search.module_path.starts_with('/')) {
    std::string folder = FolderOf(search.module_path);
    paths.push_back(folder + "/" + link->name);
    paths.push_back(folder + "/.debug/" + link->name);
    for (const std::string& debug_root : search.debug_roots) {
      paths.push_back(debug_root + folder + "/" + link->name);
    }
  }
  return paths;
}

}  // namespace

std::optional<DebugLink> ReadDebugLink(const ElfFile& file) {
  const ElfSection* section = file.FindSection(".gnu_debuglink");
  if (section == nullptr) return std::nullopt;
  std::vector<uint8_t> storage;
  auto bytes = file.ReadSection(*section, storage, 4096);
  if (!bytes.ok()) return std::nullopt;
  ByteReader reader(*bytes);
  DebugLink link{.name = std::string(reader.CString())};
  reader.Skip((4 - reader.offset() % 4) % 4);
  link.crc = reader.U32();
  bool is_plain_name = !link.name.empty() && link.name != ".." &&
                       link.name.find('/') == std::string::npos;
  if (!reader.ok() || !is_plain_name) return std::nullopt;
  return link;
}

std::vector<std::string> BuildIdPaths(const BuildId& build_id,
                                      const DebugFileSearch& search) {
  std::vector<std::string> paths;
  std::string hex = build_id.Hex();
  if (hex.size() <= 2) return paths;
  for (const std::string& folder : search.debug_roots) {
    paths.push_back(folder + "/.build-id/" + hex.substr(0, 2) + "/" +
                    hex.substr(2) + ".debug");
  }
  return paths;
}

std::string FolderOf(const std::string& path) {
  size_t slash = path.rfind('/');
  return slash == std::string::npos ? "" : path.substr(0, slash);
}

DebugFile OpenFirstFit(const std::vector<std::string>& paths,
                       const DebugFileSearch& search, const WhyUnfit& why_unfit,
                       std::vector<std::string>& attempts) {
  std::vector<std::string> roots{"/"};
  if (!search.root.empty()) roots.insert(roots.begin(), search.root);
  for (const std::string& root : roots) {
    for (const std::string& path : paths) {
      auto found = search.opener->Open(root, path);
      if (!found.ok()) continue;
      DebugFile file{.fd = std::move(found->fd),
                     .root = root,
                     .path = path,
                     .real_path = std::move(found->real_path)};
      std::string reason = why_unfit(file.fd.get());
      if (reason.empty()) return file;
      attempts.push_back(file.Shown() + ": " + reason);
    }
  }
  return {};
}

DebugFile OpenByBuildId(const BuildId& build_id, const DebugFileSearch& search,
                        const WhyUnfit& why_unfit,
                        std::vector<std::string>& attempts) {
  auto found = search.opener->FindByBuildId(build_id);
  if (!found.ok()) {
    if (!found.status().message().empty()) {
      attempts.push_back(found.status().message());
    }
    return {};
  }
  DebugFile file{.fd = std::move(found->fd),
                 .root = "/",
                 .path = found->real_path,
                 .real_path = found->real_path};
  std::string reason = why_unfit(file.fd.get());
  if (reason.empty()) return file;
  attempts.push_back(file.Shown() + ": " + reason);
  return {};
}

DebugFile FindDebugFile(const ElfFile& module, const DebugFileSearch& search,
                        std::vector<std::string>& attempts) {
  BuildId build_id = module.build_id();
  std::optional<DebugLink> link = ReadDebugLink(module);
  if (build_id.empty() && !link) {
    attempts.push_back("separate debug file: neither build ID nor debug link");
    return {};
  }
  auto why_unfit = [&](int fd) { return WhyNotDebugFile(fd, build_id, link); };
  DebugFile found = OpenFirstFit(ListPaths(build_id, link, search), search,
                                 why_unfit, attempts);
  if (found.fd) return found;
  std::string tried;
  for (const std::string& debug_root : search.debug_roots) {
    tried += (tried.empty() ? "" : ", ") + debug_root;
  }
  attempts.push_back("separate debug file: none for build ID " +
                     (build_id.empty() ? "(none)" : build_id.Hex()) +
                     " under " + tried);
  if (build_id.empty()) return {};
  return OpenByBuildId(build_id, search, why_unfit, attempts);
}

}  // namespace pprofd
