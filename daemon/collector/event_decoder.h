// EventDecoder: bytes of the ring buffer to samples and process events.
//
// Pure. Copies through the structs of bpf/abi.h and trusts no length, count or
// frame kind in them: what does not fit is refused as a whole.
// Thread: stateless; the reader thread calls it.
#ifndef DAEMON_COLLECTOR_EVENT_DECODER_H_
#define DAEMON_COLLECTOR_EVENT_DECODER_H_

#include <cstdint>
#include <optional>
#include <span>

#include "daemon/model/sample.h"

namespace pprofd {

// PPROFD_EVENT_* of an event; nothing when it is not ours or its size is wrong.
std::optional<uint16_t> EventKindOf(std::span<const uint8_t> bytes);

// Overwrites `sample`, keeping its capacity: decoding in a loop into the same
// sample does not allocate. False: the event is corrupt.
// REQUIRES (all five): EventKindOf(bytes) is the function's kind.
bool DecodeSample(std::span<const uint8_t> bytes, Sample& sample);
std::optional<NewModuleEvent> DecodeNewModule(std::span<const uint8_t> bytes);
std::optional<FreeEvent> DecodeFree(std::span<const uint8_t> bytes);
std::optional<ExecEvent> DecodeExec(std::span<const uint8_t> bytes);
std::optional<ExitEvent> DecodeExit(std::span<const uint8_t> bytes);

}  // namespace pprofd

#endif  // DAEMON_COLLECTOR_EVENT_DECODER_H_
