// WhyPage: a ProcessExplanation for people, and as JSON for programs.
//
// Thread: pure functions.
#ifndef DAEMON_SERVER_WHY_PAGE_H_
#define DAEMON_SERVER_WHY_PAGE_H_

#include <string>
#include <string_view>

#include "daemon/model/process_explanation.h"
#include "daemon/model/profile_service.h"

namespace pprofd {

inline constexpr std::string_view kJson = "application/json";

// Every text of the explanation is escaped. Links are relative where
// `is_path_form`, else they carry the pid.
std::string WhyPage(const ProcessRow& process,
                    const ProcessExplanation& explanation, bool is_path_form,
                    std::string_view host_description);

std::string WhyJson(const ProcessRow& process,
                    const ProcessExplanation& explanation);

}  // namespace pprofd

#endif  // DAEMON_SERVER_WHY_PAGE_H_
