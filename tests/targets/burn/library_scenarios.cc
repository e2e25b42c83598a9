// Stacks that cross into other files and back.
#include <dlfcn.h>

#include "hop_library.h"
#include "scenarios.h"

namespace burn {

BURN_FRAME void LibraryLeaf(uint64_t rounds) { BURN_SPIN(rounds); }

// One hop is some 2 us of spinning, so that the PLT is seen as well.
constexpr uint64_t kRoundsPerHop = 2000;

BURN_FRAME uint64_t RunLibrary(uint64_t rounds) {
  for (uint64_t done = 0; done < rounds; done += kRoundsPerHop) {
    library_hop(LibraryLeaf, kRoundsPerHop);
  }
  return 0;
}

void (*found_plugin_hop)(hop_callback callback, uint64_t rounds) = nullptr;

BURN_FRAME uint64_t RunPlugin(uint64_t rounds) {
  found_plugin_hop(LibraryLeaf, rounds);
  BURN_KEEP_FRAME();
  return 0;
}

void AddLibraryScenarios(Scenarios& scenarios, const std::string& plugin_path) {
  scenarios.push_back(
      {.name = "library",
       .marker = "burn::RunLibrary",
       .run = RunLibrary,
       .chains = {WithMain({"burn::LibraryLeaf", "library_inner_hop",
                            "library_hop", "burn::RunLibrary"})}});
#ifndef BURN_STATIC
  if (plugin_path.empty()) return;
  void* plugin = dlopen(plugin_path.c_str(), RTLD_NOW);
  if (plugin == nullptr) return;
  found_plugin_hop =
      reinterpret_cast<decltype(found_plugin_hop)>(dlsym(plugin, "plugin_hop"));
  if (found_plugin_hop == nullptr) return;
  scenarios.push_back({.name = "plugin",
                       .marker = "burn::RunPlugin",
                       .run = RunPlugin,
                       .chains = {WithMain({"burn::LibraryLeaf", "plugin_hop",
                                            "burn::RunPlugin"})}});
#else
  static_cast<void>(plugin_path);
#endif
}

}  // namespace burn
