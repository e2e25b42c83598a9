// Wire: values of pprofd to and from the messages of proto/symbolizer.proto.
//
// What comes from the symbolizer is as trustworthy as the file it read: indexes
// are checked, orders are enforced, and what does not fit is Corrupt.
// Thread: pure.
#ifndef SYMBOLIZER_SERVICE_WIRE_H_
#define SYMBOLIZER_SERVICE_WIRE_H_

#include <span>
#include <string>
#include <vector>

#include "daemon/base/status.h"
#include "daemon/model/allocator_report.h"
#include "daemon/model/module.h"
#include "daemon/model/sample.h"
#include "daemon/unwind/stack_unwinder.h"
#include "daemon/unwind/unwind_table.h"
#include "proto/symbolizer.pb.h"
#include "symbolizer/symbols.h"

namespace pprofd {

// What the headers of an ELF file say.
struct ElfDescription {
  BuildId build_id;
  std::vector<LoadSegment> segments;
  BuildId table_identity;  // see daemon/unwind/table_identity.h
};

// What there is to find in a file.
struct Examination {
  SourceReport symbols;
  UnwindTableStats table;
  std::string table_problem;  // why `table` is empty; "" if it is not
};

void ToWire(const Status& status, wire::Failure* out);
Status FromWire(const wire::Failure& in);

void ToWire(const ElfDescription& description, wire::Description* out);
ElfDescription FromWire(const wire::Description& in);

void ToWire(const UnwindTable& table, wire::Table* out);
Result<UnwindTable> FromWire(const wire::Table& in);

void ToWire(const Mapping& mapping, wire::CodeMapping* out);
Mapping FromWire(const wire::CodeMapping& in);

void ToWire(const RawStack& raw, wire::Unwind* out);
RawStack FromWire(const wire::Unwind& in);

void ToWire(const UnwoundStack& stack, wire::UnwoundStack* out);
Result<UnwoundStack> FromWire(const wire::UnwoundStack& in);

void ToWire(const ModuleSymbols& symbols, wire::Names* out);
// `wanted` is the number of addresses asked for.
Result<ModuleSymbols> FromWire(wire::Names message, size_t wanted);

void ToWire(const SourceReport& report, wire::Sources* out);
void ToWire(const Examination& examination, wire::Sources* out);
Examination FromWire(const wire::Sources& in);

void ToWire(const AllocatorReport& report, wire::Allocator* out);
Result<AllocatorReport> FromWire(const wire::Allocator& in);

}  // namespace pprofd

#endif  // SYMBOLIZER_SERVICE_WIRE_H_
