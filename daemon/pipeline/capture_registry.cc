#include "daemon/pipeline/capture_registry.h"

#include <utility>

namespace pprofd {

void CaptureRegistry::Add(std::shared_ptr<const CaptureTarget> target) {
  std::lock_guard lock(mutex_);
  targets_.push_back(std::move(target));
}

void CaptureRegistry::Remove(
    const std::shared_ptr<const CaptureTarget>& target) {
  std::lock_guard lock(mutex_);
  std::erase(targets_, target);
}

void CaptureRegistry::Deliver(const Sample& sample) {
  std::lock_guard lock(mutex_);
  for (const auto& target : targets_) {
    bool is_of_event =
        sample.kind != ProfileKind::kCpu || target->period_ns == sample.value;
    if (target->kind == sample.kind && is_of_event &&
        sample.time >= target->start &&
        (!target->process || *target->process == sample.process)) {
      target->buffer->Append(sample);
    }
  }
}

std::vector<ModuleId> CaptureRegistry::ModulesInUse() const {
  std::lock_guard lock(mutex_);
  std::vector<ModuleId> modules;
  for (const auto& target : targets_) {
    std::vector<ModuleId> used = target->buffer->ModulesInUse();
    modules.insert(modules.end(), used.begin(), used.end());
  }
  return modules;
}

}  // namespace pprofd
