// ProcessContract: what pprofd and pprofd-symbolizer agree on beside messages.
#ifndef SYMBOLIZER_SERVICE_PROCESS_CONTRACT_H_
#define SYMBOLIZER_SERVICE_PROCESS_CONTRACT_H_

namespace pprofd {

inline constexpr int kSymbolizerSocket = 3;  // the descriptor

inline constexpr int kExitOutOfStep = 1;
inline constexpr int kExitNotConfined = 2;
inline constexpr int kExitOutOfMemory = 3;

}  // namespace pprofd

#endif  // SYMBOLIZER_SERVICE_PROCESS_CONTRACT_H_
