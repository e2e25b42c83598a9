#include "daemon/pipeline/pipeline.h"

#include <fmt/format.h>
#include <sys/resource.h>
#include <unistd.h>

#include <bit>
#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>
#include <csignal>
#include <filesystem>

#include "daemon/base/own_files.h"
#include "daemon/base/telemetry.h"
#include "daemon/collector/cpu_sampler.h"
#include "daemon/collector/event_reader.h"
#include "daemon/collector/heap_probes.h"
#include "daemon/collector/kernel_features.h"
#include "daemon/collector/perf_event.h"
#include "daemon/collector/preload_probes.h"
#include "daemon/debuginfod/debuginfod_client.h"
#include "daemon/pipeline/heap_manager.h"
#include "daemon/pipeline/heap_selector.h"
#include "daemon/pipeline/local_profile_service.h"
#include "daemon/pipeline/sample_router.h"
#include "daemon/server/handlers.h"
#include "daemon/server/http_server.h"
#include "daemon/symbolizer_client/name_saver.h"
#include "daemon/symbolizer_client/symbol_cache_folder.h"

namespace pprofd {
namespace {

// Room for what all CPUs send while the reader sleeps, several times over; and
// for a burst of sampled blocks while it wakes up.
constexpr uint32_t kRingBytesPerCpu = 256 << 10;
constexpr uint32_t kMinRingBytes = 4 << 20;
constexpr uint32_t kMaxRingBytes = 64 << 20;

constexpr std::chrono::seconds kCatchUpTime{2};

uint32_t RingBytes() {
  Result<std::vector<int>> cpus = OnlineCpus();
  uint64_t wanted = (cpus.ok() ? cpus->size() : 1) * uint64_t{kRingBytesPerCpu};
  return std::bit_ceil(static_cast<uint32_t>(
      std::clamp<uint64_t>(wanted, kMinRingBytes, kMaxRingBytes)));
}

void RaiseLimit(int resource) {
  rlimit limit;
  if (getrlimit(resource, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(resource, &limit);
}

// The installed ones and those beside us, with and without C++'s operators.
std::vector<std::string> PreloadPaths(const std::string& installed) {
  constexpr std::string_view kWithOperators = "libpprofd_heap_new.so";
  auto folder = std::filesystem::path(installed).parent_path();
  return {installed, (folder / kWithOperators).string(),
          BesideProgram(kPreloadFamily), BesideProgram(kWithOperators)};
}

// Before 5.11 BPF maps count as locked memory.
void LiftMemlockLimit() {
  rlimit unlimited = {RLIM_INFINITY, RLIM_INFINITY};
  if (setrlimit(RLIMIT_MEMLOCK, &unlimited) != 0) RaiseLimit(RLIMIT_MEMLOCK);
}

}  // namespace

// Members stand in order of construction: each uses only those above it.
class Pipeline::Impl {
 public:
  explicit Impl(const Config& config)
      : config_(config),
        histories_(
            {.max_age_ns =
                 std::chrono::nanoseconds(config.history.max_age).count(),
             .max_bytes = config.history.max_bytes}),
        modules_(ModuleTable::Options{}),
        processes_(ProcessTable::Options{}, &modules_),
        symbol_cache_(
            OpenSymbolCache({.path = config.symbols.cache_folder,
                             .max_bytes = config.symbols.cache_bytes})),
        router_({histories_, captures_, coverage_, processes_}) {}

  ~Impl() {
    if (http_) http_->Stop();
    http_.reset();
    handlers_.reset();
    if (selector_) selector_->Stop();
    if (heap_) heap_->Stop();
    if (sampler_) sampler_->Stop();
    if (reader_) reader_->Stop();
    if (worker_) worker_->Stop();
  }

  Status Start(Use use);
  void Run();
  ProfileService& service() { return *service_; }
  std::string http_address() const { return http_->address(); }

 private:
  Status StartDebuginfod();
  Status StartSymbolizers();
  Status Listen();
  Status StartSampling();
  void StartPageFaults();
  void NoteCpuTimeSoFar();
  void CatchUp();
  void KeepHouse();
  void BookLosses(BootTime now);
  absl::flat_hash_set<ModuleId> ModulesInUse() const;
  int64_t always_on_period_ns() const {
    return 1'000'000'000 / config_.sampling.hz;
  }
  // 0: page faults are not sampled.
  uint32_t faults_per_sample() const {
    if (!config_.rss.enabled) return 0;
    return static_cast<uint32_t>(config_.rss.faults_per_sample);
  }

  const Config config_;
  SystemClock clock_;
  Histories histories_;
  CaptureRegistry captures_;
  CoverageTable coverage_;
  ModuleTable modules_;
  ProcessTable processes_;
  std::unique_ptr<SymbolCacheFolder> symbol_cache_;  // nullptr: none
  KernelSymbols kernel_symbols_;
  // Two, so that no question for names keeps samples waiting for tables.
  std::unique_ptr<SymbolizerClient> table_symbolizer_;
  std::unique_ptr<SymbolizerClient> name_symbolizer_;
  std::unique_ptr<DebuginfodClient> debuginfod_;  // nullptr: off
  std::unique_ptr<NameSaver> name_saver_;  // nullptr without symbol_cache_
  SampleRouter router_;
  std::unique_ptr<ProfileRenderer> renderer_;
  std::unique_ptr<BpfProgram> program_;
  std::unique_ptr<CpuSampler> sampler_;
  std::unique_ptr<HeapProbes> heap_probes_;
  std::unique_ptr<PreloadProbes> preload_probes_;
  std::unique_ptr<ProcessWorker> worker_;
  std::unique_ptr<HeapManager> heap_;
  std::unique_ptr<HeapSelector> selector_;
  std::unique_ptr<EventReader> reader_;
  std::unique_ptr<ProcessExplainer> explainer_;
  Collections collections_;  // complete before it is asked for
  std::unique_ptr<LocalProfileService> service_;
  boost::asio::io_context io_{1};
  std::unique_ptr<Handlers> handlers_;
  std::unique_ptr<HttpServer> http_;
  // Process thread: by kind, already booked to history.
  std::array<uint64_t, kProfileKinds> losses_{};
};

Status Pipeline::Impl::Start(Use use) {
  RETURN_IF_ERROR(CheckKernel());
  RaiseLimit(RLIMIT_NOFILE);
  LiftMemlockLimit();
  ASSIGN_OR_RETURN(
      program_, BpfProgram::Load({.ring_bytes = RingBytes(),
                                  .faults_per_sample = faults_per_sample()}));
  RETURN_IF_ERROR(program_->CheckVmaWalk());
  RETURN_IF_ERROR(StartDebuginfod());
  RETURN_IF_ERROR(StartSymbolizers());
  sampler_ = std::make_unique<CpuSampler>(*program_);
  worker_ = std::make_unique<ProcessWorker>(
      ProcessWorker::Parts{
          *program_, modules_, processes_, *table_symbolizer_, clock_,
          [this](const Sample& sample) { router_.Deliver(sample); },
          [this] { KeepHouse(); }, [this] { return program_->TakeNumber(); },
          [this] { return ModulesInUse(); }},
      TableLoader::Options{.max_bytes = config_.unwind.max_table_bytes});
  router_.SetWorker(worker_.get());
  heap_probes_ = std::make_unique<HeapProbes>(*program_);
  preload_probes_ = std::make_unique<PreloadProbes>(*program_);
  heap_ = std::make_unique<HeapManager>(
      HeapManager::Parts{
          *heap_probes_, *preload_probes_, *name_symbolizer_, clock_,
          [this] { CatchUp(); },
          [this] { return program_->ReadLosses(ProfileKind::kHeap); },
          [this](int32_t pid) { selector_->OnExec(pid); }},
      HeapManager::Options{
          .budget_cpus = config_.heap.budget_percent / 100.0,
          .period_bytes = config_.heap.period,
          .max_processes = static_cast<size_t>(config_.heap.max_processes),
          .idle_time = config_.heap.idle_time,
          .preload_paths = PreloadPaths(config_.heap.preload_library),
          .history_ns =
              std::chrono::nanoseconds(config_.history.max_age).count()});
  ASSIGN_OR_RETURN(HeapSelection selection,
                   HeapSelection::Parse(config_.heap.track));
  selector_ = std::make_unique<HeapSelector>(*heap_, std::move(selection));
  router_.SetHeap(heap_.get());
  reader_ = std::make_unique<EventReader>(program_->ring_fd(), router_);
  explainer_ = std::make_unique<ProcessExplainer>(ProcessExplainer::Parts{
      *worker_, histories_.Of(ProfileKind::kCpu), modules_, processes_,
      *name_symbolizer_, kernel_symbols_, clock_, debuginfod_.get()});
  service_ = std::make_unique<LocalProfileService>(LocalProfileService::Parts{
      *program_, *sampler_, histories_, captures_, coverage_, processes_,
      *renderer_, *explainer_, *heap_, [this] { CatchUp(); }, clock_,
      collections_});
  if (use == Use::kServe) RETURN_IF_ERROR(Listen());
  return StartSampling();
}

Status Pipeline::Impl::StartDebuginfod() {
  const DebuginfodConfig& config = config_.debuginfod;
  std::vector<std::string> urls = DebuginfodServers(config.urls);
  if (urls.empty()) return Status::Ok();
  ASSIGN_OR_RETURN(
      debuginfod_,
      DebuginfodClient::Create(
          {.urls = std::move(urls),
           .folder = config_.symbols.cache_folder + "/debuginfod",
           .program = DebuginfodProgram(),
           .max_file_bytes = config.max_file_bytes,
           .max_cache_bytes = config.max_cache_bytes,
           .timeout = config.timeout,
           .retry = config.retry},
          clock_,
          [this](const BuildId&, const std::vector<std::string>& askers,
                 bool is_here) {
            if (!is_here) return;
            for (const std::string& asker : askers) {
              name_symbolizer_->NoteArrival(asker);
            }
          }));
  return Status::Ok();
}

Status Pipeline::Impl::StartSymbolizers() {
  SymbolizerClient::Options tables;
  tables.process.role = "tables";
  tables.process.is_urgent = true;
  ASSIGN_OR_RETURN(table_symbolizer_,
                   SymbolizerClient::Start(std::move(tables)));
  SymbolizerClient::Options names;
  names.process.role = "names";
  names.process.max_cache_bytes = config_.symbols.max_cache_bytes;
  names.process.debug_roots = config_.symbols.debug_roots;
  names.store = symbol_cache_.get();
  if (debuginfod_) {
    names.find_debug_file = [this](const BuildId& build_id,
                                   const std::string& asker) {
      return debuginfod_->Find(build_id, asker);
    };
  }
  ASSIGN_OR_RETURN(name_symbolizer_, SymbolizerClient::Start(std::move(names)));
  if (symbol_cache_) {
    name_saver_ = std::make_unique<NameSaver>(*name_symbolizer_);
  }
  renderer_ = std::make_unique<ProfileRenderer>(ProfileRenderer::Parts{
      modules_, processes_, *name_symbolizer_, kernel_symbols_, clock_});
  return Status::Ok();
}

Status Pipeline::Impl::Listen() {
  HandlerOptions handler_options;
  handler_options.limits = {
      .max_seconds = config_.http.max_seconds,
      .default_hz = static_cast<uint32_t>(config_.sampling.capture_hz)};
  handlers_ =
      std::make_unique<Handlers>(io_, service_.get(), &clock_, handler_options);
  HttpServerOptions options;
  options.listen = config_.http.listen;
  options.max_connections = static_cast<size_t>(config_.http.max_connections);
  ASSIGN_OR_RETURN(http_, HttpServer::Listen(
                              io_, options, [this](const HttpRequest& request) {
                                return handlers_->Handle(request);
                              }));
  return Status::Ok();
}

Status Pipeline::Impl::StartSampling() {
  worker_->Start();
  RETURN_IF_ERROR(reader_->Start());
  heap_->Start();
  selector_->Start();
  RETURN_IF_ERROR(program_->AttachProcessEvents());
  NoteCpuTimeSoFar();
  RETURN_IF_ERROR(
      sampler_->Start(static_cast<uint64_t>(always_on_period_ns())));
  collections_[static_cast<size_t>(ProfileKind::kCpu)] = {
      .period = always_on_period_ns(),
      .how = fmt::format("perf cpu-clock {} Hz", config_.sampling.hz),
      .limits = {},
      .problem = {}};
  StartPageFaults();
  Status scan = program_->ScanModules();
  if (!scan.ok()) {
    spdlog::info("tables are built at first sight: {}", scan.message());
  }
  return Status::Ok();
}

// Without it the other kinds go on.
void Pipeline::Impl::StartPageFaults() {
  Collection& rss = collections_[static_cast<size_t>(ProfileKind::kRss)];
  rss.period = faults_per_sample() * int64_t{getpagesize()};
  rss.how = fmt::format("page faults on pages not present, one of {} sampled",
                        config_.rss.faults_per_sample);
  rss.limits = {
      fmt::format("rss: an estimate of growth by first touch, {} bytes a "
                  "fault; a fault may map more (huge pages, files read "
                  "ahead), and memory given back is not seen",
                  getpagesize())};
  if (!config_.rss.enabled) {
    rss.problem = "rss.enabled is false";
    return;
  }
  Status status = program_->AttachPageFaults();
  if (status.ok()) return;
  rss.problem = status.message();
  spdlog::warn("page faults are not sampled: {}", status.message());
}

void Pipeline::Impl::NoteCpuTimeSoFar() {
  for (int32_t pid : ListPids()) {
    Result<ProcessDir> dir = ProcessDir::Open(kProcRoot, pid);
    if (dir.ok()) coverage_.SetBaseline(dir->key(), dir->stat().cpu_time_ns);
  }
}

// Everything sampled before now has been delivered.
void Pipeline::Impl::CatchUp() {
  reader_->Drain();
  if (!worker_->Flush(std::chrono::steady_clock::now() + kCatchUpTime)) {
    spdlog::debug("deferred stacks are late");
  }
}

void Pipeline::Impl::KeepHouse() {
  BootTime now = clock_.Boot();
  program_->RefillNumbers();
  sampler_->FollowCpus();
  histories_.Advance(now);
  BookLosses(now);
  int64_t horizon_ns =
      std::chrono::nanoseconds(config_.history.max_age).count();
  if (processes_.Expire(now, horizon_ns) > 0) {
    coverage_.Retain([this](const ProcessKey& key) {
      return processes_.Find(key).has_value();
    });
  }
  GlobalCounters().Set(
      Counter::symbol_cache_bytes,
      name_symbolizer_->cache_bytes() + kernel_symbols_.bytes());
}

void Pipeline::Impl::BookLosses(BootTime now) {
  for (ProfileKind kind : ProfileKinds()) {
    if (Describe(kind).history_parts == 0) continue;
    uint64_t losses = program_->ReadLosses(kind);
    uint64_t& booked = losses_[static_cast<size_t>(kind)];
    if (losses == booked) continue;
    histories_.Of(kind).NoteLost(PPROFD_REASON_RING_FULL,
                                 static_cast<int64_t>(losses - booked), now);
    booked = losses;
  }
}

absl::flat_hash_set<ModuleId> Pipeline::Impl::ModulesInUse() const {
  absl::flat_hash_set<ModuleId> modules;
  for (ModuleId id : histories_.ModulesInUse()) modules.insert(id);
  for (ModuleId id : captures_.ModulesInUse()) modules.insert(id);
  for (ModuleId id : heap_->ModulesInUse()) modules.insert(id);
  return modules;
}

void Pipeline::Impl::Run() {
  boost::asio::signal_set signals(io_, SIGINT, SIGTERM);
  signals.async_wait([this](const boost::system::error_code& error, int) {
    if (!error) http_->Stop();
  });
  io_.run();
}

Pipeline::Pipeline(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Pipeline::~Pipeline() = default;

Result<std::unique_ptr<Pipeline>> Pipeline::Create(const Config& config,
                                                   Use use) {
  auto impl = std::make_unique<Impl>(config);
  RETURN_IF_ERROR(impl->Start(use));
  return std::unique_ptr<Pipeline>(new Pipeline(std::move(impl)));
}

ProfileService& Pipeline::service() { return impl_->service(); }
std::string Pipeline::http_address() const { return impl_->http_address(); }
void Pipeline::Run() { impl_->Run(); }

Result<std::vector<ProgramCost>> CheckPrograms() {
  RETURN_IF_ERROR(CheckKernel());
  LiftMemlockLimit();
  ASSIGN_OR_RETURN(std::unique_ptr<BpfProgram> program,
                   BpfProgram::Load({.ring_bytes = RingBytes(),
                                     .faults_per_sample = 128,
                                     .wants_verifier_counts = true}));
  RETURN_IF_ERROR(program->CheckVmaWalk());
  return program->ReadCosts();
}

}  // namespace pprofd
