#include "daemon/profile/location_table.h"

#include <fmt/format.h>

namespace pprofd {
namespace {

// A reason's own text has a number below those of OwnTextNumber().
constexpr uint64_t kReasonShift = 24;

}  // namespace

uint32_t LocationTable::Intern(const ProcessKey& process, Frame frame) {
  ProcessKey owner;
  if (frame.kind() == FrameKind::kAddress) owner = process;
  auto known = by_frame_.find({frame, owner});
  if (known != by_frame_.end()) return known->second;
  uint32_t location = frame.kind() == FrameKind::kReason
                          ? InternReason(frame)
                          : InternPlace(space_.PlaceCode(frame), owner);
  by_frame_.emplace(std::pair(frame, owner), location);
  return location;
}

uint32_t LocationTable::InternText(std::string_view text) {
  uint32_t location = InternPlace(space_.PlaceOwn(OwnTextNumber(text)), {});
  locations_[location].own_text = text;
  return location;
}

uint32_t LocationTable::InternReason(Frame frame) {
  uint64_t number = uint64_t{frame.reason() & 0xffff} << kReasonShift |
                    static_cast<uint64_t>(frame.module());
  uint32_t location = InternPlace(space_.PlaceOwn(number), {});
  std::string_view module = space_.ModuleName(frame.module());
  locations_[location].own_text =
      module.empty()
          ? fmt::format("[truncated: {}]", ReasonText(frame.reason()))
          : fmt::format("[truncated: {} for {}]", ReasonText(frame.reason()),
                        module);
  return location;
}

uint32_t LocationTable::InternPlace(const AddressSpace::Place& place,
                                    const ProcessKey& process) {
  auto [it, inserted] =
      by_place_.try_emplace(Key{place.mapping, place.address, process},
                            static_cast<uint32_t>(locations_.size()));
  if (inserted) {
    locations_.push_back({.place = place, .process = process, .own_text = {}});
  }
  return it->second;
}

}  // namespace pprofd
