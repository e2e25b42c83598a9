// CfiRows: turns functions with call frame information into unwind rows.
//
// Thread: one.
#ifndef DAEMON_UNWIND_CFI_ROWS_H_
#define DAEMON_UNWIND_CFI_ROWS_H_

#include <vector>

#include "daemon/model/module.h"
#include "daemon/unwind/eh_frame.h"
#include "daemon/unwind/row_list.h"
#include "daemon/unwind/unwind_rule.h"

namespace pprofd {

// Rows of all functions inside the executable `segments` (ascending by file
// offset). Where functions overlap, the one that starts first keeps its range.
RowList MakeCfiRows(const EhFrame& eh_frame,
                    const std::vector<LoadSegment>& segments, RuleSet& rules);

}  // namespace pprofd

#endif  // DAEMON_UNWIND_CFI_ROWS_H_
