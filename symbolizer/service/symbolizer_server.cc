#include "symbolizer/service/symbolizer_server.h"

#include <sys/time.h>

#include <algorithm>
#include <utility>

#include "daemon/base/memory_policy.h"
#include "daemon/unwind/table_identity.h"
#include "symbolizer/allocator_functions.h"
#include "symbolizer/elf_file.h"

namespace pprofd {
namespace {

constexpr std::chrono::seconds kGiveBackInterval{1};
// Who asks meanwhile has to wait.
constexpr std::chrono::milliseconds kSaveTime{50};

void SetAlarm(std::chrono::milliseconds time) {
  itimerval timer{};
  timer.it_value.tv_sec = time.count() / 1000;
  timer.it_value.tv_usec = time.count() % 1000 * 1000;
  setitimer(ITIMER_REAL, &timer, nullptr);
}

DemangleStyle ToStyle(uint32_t number) {
  return static_cast<DemangleStyle>(
      std::min(number, static_cast<uint32_t>(DemangleStyle::kFull)));
}

std::vector<ModuleAddr> ToModuleAddrs(
    const google::protobuf::RepeatedField<uint64_t>& numbers) {
  std::vector<ModuleAddr> addresses;
  addresses.reserve(static_cast<size_t>(numbers.size()));
  for (uint64_t number : numbers) addresses.push_back({number});
  return addresses;
}

Result<ElfDescription> DescribeFile(int file) {
  ASSIGN_OR_RETURN(MemoryMap map, MapFile(file));
  ASSIGN_OR_RETURN(ElfFile elf, ElfFile::Parse(Bytes(map)));
  return ElfDescription{.build_id = elf.build_id(),
                        .segments = elf.load_segments(),
                        .table_identity = TableIdentity(Bytes(map))};
}

Result<UnwindTable> BuildTableOf(int file) {
  ASSIGN_OR_RETURN(MemoryMap map, MapFile(file));
  return BuildUnwindTable(Bytes(map));
}

Result<UnwindTableStats> CountSourcesOf(int file) {
  ASSIGN_OR_RETURN(MemoryMap map, MapFile(file));
  return CountUnwindSources(Bytes(map));
}

Result<AllocatorReport> FindAllocatorOf(int file) {
  ASSIGN_OR_RETURN(MemoryMap map, MapFile(file));
  return FindAllocatorFunctions(Bytes(map));
}

}  // namespace

SymbolizerServer::SymbolizerServer(UniqueFd socket, std::string build,
                                   Confinement confinement)
    : channel_(std::move(socket)),
      build_(std::move(build)),
      confinement_(confinement) {}

Status SymbolizerServer::Run() {
  while (true) {
    wire::Request request;
    Status status =
        channel_.Receive(&request, &files_, Channel::Deadline::max());
    if (status.code() == StatusCode::kGone) return Status::Ok();
    RETURN_IF_ERROR(status);
    id_ = request.id();
    std::chrono::milliseconds time(request.time_ms());
    deadline_ = std::chrono::steady_clock::now() + time;
    SetAlarm(time + kGrace);
    wire::Reply reply;
    reply.set_id(id_);
    Do(request, &reply);
    files_.clear();
    RETURN_IF_ERROR(channel_status_);
    if (symbolizer_) {
      reply.set_cache_bytes(symbolizer_->cache_bytes());
      reply.set_has_unsaved(symbolizer_->has_unsaved());
    }
    RETURN_IF_ERROR(channel_.Send(reply, {}, Channel::Deadline::max()));
    SetAlarm(std::chrono::milliseconds(0));
    GiveMemoryBack();
  }
}

// Nobody waits now; not after each of many small requests.
void SymbolizerServer::GiveMemoryBack() {
  auto now = std::chrono::steady_clock::now();
  if (now < next_give_back_) return;
  next_give_back_ = now + kGiveBackInterval;
  ReturnFreeMemory();
}

void SymbolizerServer::Do(const wire::Request& request, wire::Reply* reply) {
  using Kind = wire::Request::KindCase;
  if (request.kind_case() != Kind::kStart && symbolizer_ == nullptr) {
    return ToWire(Status(StatusCode::kInvalid, "not started"),
                  reply->mutable_failure());
  }
  switch (request.kind_case()) {
    case Kind::kStart:
      return Do(request.start(), reply);
    case Kind::kDescribe:
      return Describe(reply);
    case Kind::kBuildTable:
      return BuildTable(reply);
    case Kind::kUnwind:
      return Do(request.unwind(), reply);
    case Kind::kNameAddresses:
      return Do(request.name_addresses(), reply);
    case Kind::kNameJitCode:
      return Do(request.name_jit_code(), reply);
    case Kind::kReport:
      return Do(request.report(), reply);
    case Kind::kSaveNames:
      return Do(request.save_names(), reply);
    case Kind::kExamine:
      return Do(request.examine(), reply);
    case Kind::kFindAllocator:
      return FindAllocator(reply);
    case Kind::kAnswer:
    case Kind::KIND_NOT_SET:
      break;
  }
  ToWire(Status(StatusCode::kInvalid, "no such request"),
         reply->mutable_failure());
}

void SymbolizerServer::Do(const wire::Start& start, wire::Reply* reply) {
  Symbolizer::Options options;
  options.max_cache_bytes = start.max_cache_bytes();
  options.debug_roots.assign(start.debug_roots().begin(),
                             start.debug_roots().end());
  options.opener = this;
  if (start.has_store()) options.store = this;
  symbolizer_ = std::make_unique<Symbolizer>(std::move(options));
  reply->mutable_hello()->set_build(build_);
  reply->mutable_hello()->set_landlock_abi(confinement_.landlock_abi);
}

void SymbolizerServer::Describe(wire::Reply* reply) {
  Result<ElfDescription> description = DescribeFile(file());
  if (description.ok()) {
    ToWire(*description, reply->mutable_description());
  } else {
    ToWire(description.status(), reply->mutable_failure());
  }
}

void SymbolizerServer::BuildTable(wire::Reply* reply) {
  Result<UnwindTable> table = BuildTableOf(file());
  if (table.ok()) {
    ToWire(*table, reply->mutable_table());
  } else {
    ToWire(table.status(), reply->mutable_failure());
  }
}

void SymbolizerServer::Do(const wire::Unwind& unwind, wire::Reply* reply) {
  std::vector<Mapping> known;
  for (const wire::CodeMapping& mapping : unwind.mappings()) {
    known.push_back(FromWire(mapping));
  }
  auto find_mapping = [&](VirtualAddr address) -> std::optional<Mapping> {
    for (const Mapping& mapping : known) {
      if (mapping.start <= address && address < mapping.limit) return mapping;
    }
    std::optional<Mapping> asked = AskMapping(address);
    if (asked) known.push_back(*asked);
    return asked;
  };
  UnwoundStack stack =
      unwinder_.Unwind(FromWire(unwind), find_mapping,
                       [this](ModuleId id) { return AskModule(id); });
  ToWire(stack, reply->mutable_stack());
}

void SymbolizerServer::Do(const wire::NameAddresses& names,
                          wire::Reply* reply) {
  std::vector<ModuleAddr> addresses = ToModuleAddrs(names.addresses());
  MindArrival(names.key(), names.last_arrival());
  ToWire(symbolizer_->SymbolizeModule(file(), names.key(), names.path(),
                                      names.root(), addresses,
                                      ToStyle(names.style()), deadline_),
         reply->mutable_names());
}

void SymbolizerServer::Do(const wire::NameJitCode& names, wire::Reply* reply) {
  std::vector<uint64_t> addresses(names.addresses().begin(),
                                  names.addresses().end());
  DemangleStyle style = ToStyle(names.style());
  ToWire(names.is_jit_dump() ? symbolizer_->SymbolizeJitDump(
                                   file(), names.key(), addresses, style)
                             : symbolizer_->SymbolizePerfMap(
                                   file(), names.key(), addresses, style),
         reply->mutable_names());
}

void SymbolizerServer::MindArrival(const std::string& key, uint64_t arrival) {
  if (arrival == 0) return;
  if (arrivals_.size() >= kMaxArrivals) arrivals_.clear();
  if (std::exchange(arrivals_[key], arrival) != arrival) {
    symbolizer_->Forget(key);
  }
}

void SymbolizerServer::Do(const wire::Report& report, wire::Reply* reply) {
  MindArrival(report.key(), report.last_arrival());
  ToWire(symbolizer_->Report(report.key()), reply->mutable_sources());
}

void SymbolizerServer::Do(const wire::Examine& examine, wire::Reply* reply) {
  Examination examination;
  examination.symbols =
      symbolizer_->Examine(file(), examine.path(), examine.root());
  Result<UnwindTableStats> table = CountSourcesOf(file());
  if (table.ok()) {
    examination.table = *table;
  } else {
    examination.table_problem = table.status().message();
  }
  ToWire(examination, reply->mutable_sources());
}

void SymbolizerServer::Do(const wire::SaveNames& save, wire::Reply* reply) {
  if (save.all()) {
    symbolizer_->SaveAll();
  } else {
    symbolizer_->SaveSome(std::chrono::steady_clock::now() + kSaveTime);
  }
  reply->mutable_saved();
}

void SymbolizerServer::FindAllocator(wire::Reply* reply) {
  Result<AllocatorReport> report = FindAllocatorOf(file());
  if (report.ok()) {
    ToWire(*report, reply->mutable_allocator());
  } else {
    ToWire(report.status(), reply->mutable_failure());
  }
}

Result<SymbolizerServer::Answered> SymbolizerServer::Ask(
    const wire::Question& question) {
  RETURN_IF_ERROR(channel_status_);
  wire::Reply reply;
  reply.set_id(id_);
  *reply.mutable_question() = question;
  channel_status_ = channel_.Send(reply, {}, Channel::Deadline::max());
  RETURN_IF_ERROR(channel_status_);
  wire::Request request;
  Answered answered;
  channel_status_ =
      channel_.Receive(&request, &answered.files, Channel::Deadline::max());
  RETURN_IF_ERROR(channel_status_);
  answered.answer = std::move(*request.mutable_answer());
  if (!answered.answer.is_found()) {
    return Status(StatusCode::kNotFound, answered.answer.message());
  }
  return answered;
}

Result<FoundFile> SymbolizerServer::Open(const std::string& root,
                                         const std::string& path) {
  wire::Question question;
  question.mutable_open_file()->set_root(root);
  question.mutable_open_file()->set_path(path);
  return AskFile(question);
}

Result<FoundFile> SymbolizerServer::FindByBuildId(const BuildId& build_id) {
  wire::Question question;
  question.set_debug_file(build_id.bytes());
  return AskFile(question);
}

Result<FoundFile> SymbolizerServer::AskFile(const wire::Question& question) {
  ASSIGN_OR_RETURN(Answered answered, Ask(question));
  if (answered.files.empty()) {
    return Status(StatusCode::kNotFound, "no file came");
  }
  return FoundFile{.fd = std::move(answered.files.front()),
                   .real_path = answered.answer.real_path()};
}

Result<UniqueFd> SymbolizerServer::Load(const std::string& key,
                                        Purpose purpose) {
  wire::Question question;
  question.mutable_load_names()->set_key(key);
  question.mutable_load_names()->set_is_merge(purpose == Purpose::kMerge);
  ASSIGN_OR_RETURN(Answered answered, Ask(question));
  if (answered.files.empty()) {
    return Status(StatusCode::kNotFound, "no file came");
  }
  return std::move(answered.files.front());
}

Status SymbolizerServer::Save(const std::string& key,
                              std::span<const uint8_t> bytes) {
  wire::Question question;
  question.mutable_store_names()->set_key(key);
  question.mutable_store_names()->set_content(bytes.data(), bytes.size());
  return Ask(question).status();
}

void SymbolizerServer::Discard(const std::string& key) {
  wire::Question question;
  question.set_discard_names(key);
  Status ignored = Ask(question).status();
}

std::optional<Mapping> SymbolizerServer::AskMapping(VirtualAddr address) {
  wire::Question question;
  question.set_mapping_at(address.value);
  Result<Answered> answered = Ask(question);
  if (!answered.ok()) return std::nullopt;
  return FromWire(answered->answer.mapping());
}

ModuleRef SymbolizerServer::AskModule(ModuleId module) {
  wire::Question question;
  question.set_module_file(static_cast<uint32_t>(module));
  Result<Answered> answered = Ask(question);
  if (!answered.ok()) return nullptr;
  auto found = std::make_shared<Module>();
  found->id = module;
  if (!answered->files.empty()) found->file = std::move(answered->files[0]);
  return found;
}

}  // namespace pprofd
