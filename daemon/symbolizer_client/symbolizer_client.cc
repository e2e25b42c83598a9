#include "daemon/symbolizer_client/symbolizer_client.h"

#include <fcntl.h>

#include <utility>

#include "daemon/base/telemetry.h"
#include "daemon/symbolizer_client/file_broker.h"

namespace pprofd {
namespace {

using Answer = SymbolizerProcess::Answer;
using Call = SymbolizerProcess::Call;

SymbolizerClient::Deadline After(std::chrono::seconds time) {
  return std::chrono::steady_clock::now() + time;
}

Status NoReply() {
  return Status(StatusCode::kCorrupt, "the symbolizer answers nothing asked");
}

Answer NotFound(const std::string& why) {
  Answer answer;
  answer.text.set_message(why);
  return answer;
}

Answer FileAnswer(Result<FoundFile> found) {
  if (!found.ok()) return NotFound(found.status().message());
  Answer answer;
  answer.text.set_is_found(true);
  answer.text.set_real_path(found->real_path);
  answer.file = std::move(found->fd);
  return answer;
}

Answer Done(const Status& status) {
  if (!status.ok()) return NotFound(status.message());
  Answer answer;
  answer.text.set_is_found(true);
  return answer;
}

// Keys and contents are checked by the store.
Answer AskStore(SymbolStore* store, const wire::Question& question) {
  if (store == nullptr) return NotFound("no names are stored");
  if (question.has_load_names()) {
    const wire::Question::LoadNames& load = question.load_names();
    Result<UniqueFd> file = store->Load(
        load.key(), load.is_merge() ? SymbolStore::Purpose::kMerge
                                    : SymbolStore::Purpose::kLookUp);
    Answer answer = Done(file.status());
    if (file.ok()) answer.file = std::move(*file);
    return answer;
  }
  if (question.has_store_names()) {
    const std::string& content = question.store_names().content();
    return Done(store->Save(
        question.store_names().key(),
        {reinterpret_cast<const uint8_t*>(content.data()), content.size()}));
  }
  if (question.kind_case() != wire::Question::kDiscardNames) {
    return NotFound("not for names");
  }
  store->Discard(question.discard_names());
  return Done(Status::Ok());
}

Answer MappingAt(std::optional<Mapping> mapping) {
  if (!mapping) return NotFound("no mapping");
  Answer answer;
  answer.text.set_is_found(true);
  ToWire(*mapping, answer.text.mutable_mapping());
  return answer;
}

Answer FileOf(const ModuleRef& module) {
  if (module == nullptr || !module->file) return NotFound("no file");
  Answer answer;
  answer.file.Reset(fcntl(module->file.get(), F_DUPFD_CLOEXEC, 0));
  answer.text.set_is_found(static_cast<bool>(answer.file));
  return answer;
}

}  // namespace

Result<std::unique_ptr<SymbolizerClient>> SymbolizerClient::Start(
    Options options) {
  options.process.has_store = options.store != nullptr;
  std::unique_ptr<SymbolizerClient> client(
      new SymbolizerClient(std::move(options)));
  RETURN_IF_ERROR(client->process_.Start());
  return client;
}

BuildId SymbolizerClient::DescribeModule(Module* module) {
  if (!module->file) return BuildId();
  Result<ElfDescription> description = Describe(module->file.get());
  if (!description.ok()) {
    module->unavailable_reason = description.status().message();
    return BuildId();
  }
  module->build_id = description->build_id;
  module->segments = std::move(description->segments);
  return description->table_identity;
}

Result<ElfDescription> SymbolizerClient::Describe(int file) {
  Call call;
  call.request.mutable_describe();
  call.file = file;
  ASSIGN_OR_RETURN(wire::Reply reply,
                   process_.Run(std::move(call), After(kReadTime)));
  if (!reply.has_description()) return NoReply();
  return FromWire(reply.description());
}

Result<UnwindTable> SymbolizerClient::BuildTable(int file) {
  Call call;
  call.request.mutable_build_table();
  call.file = file;
  ASSIGN_OR_RETURN(wire::Reply reply,
                   process_.Run(std::move(call), After(kTableTime)));
  if (!reply.has_table()) return NoReply();
  return FromWire(reply.table());
}

Result<AllocatorReport> SymbolizerClient::FindAllocator(int file) {
  Call call;
  call.request.mutable_find_allocator();
  call.file = file;
  ASSIGN_OR_RETURN(wire::Reply reply,
                   process_.Run(std::move(call), After(kReadTime)));
  if (!reply.has_allocator()) return NoReply();
  return FromWire(reply.allocator());
}

Result<UnwoundStack> SymbolizerClient::Unwind(
    const RawStack& raw, const std::vector<Mapping>& known,
    const StackUnwinder::FindMapping& find_mapping,
    const StackUnwinder::FindModule& find_module) {
  Call call;
  wire::Unwind* unwind = call.request.mutable_unwind();
  ToWire(raw, unwind);
  for (const Mapping& mapping : known) ToWire(mapping, unwind->add_mappings());
  call.answerer = [&](const wire::Question& question) {
    switch (question.kind_case()) {
      case wire::Question::kMappingAt:
        return MappingAt(find_mapping({question.mapping_at()}));
      case wire::Question::kModuleFile:
        return FileOf(
            find_module(static_cast<ModuleId>(question.module_file())));
      default:
        break;
    }
    return NotFound("not for a stack");
  };
  ASSIGN_OR_RETURN(wire::Reply reply,
                   process_.Run(std::move(call), After(kUnwindTime)));
  if (!reply.has_stack()) return NoReply();
  return FromWire(reply.stack());
}

SymbolizerProcess::Answerer SymbolizerClient::AnswererOf(
    const NamedFile& file, const std::string& asker) {
  FileBroker::FindByBuildId find;
  if (find_debug_file_) {
    find = [this, asker](const BuildId& build_id) {
      return find_debug_file_(build_id, asker);
    };
  }
  return [broker = FileBroker(opener_, file.root, std::move(find)),
          store = store_](const wire::Question& question) {
    if (question.has_open_file()) {
      return FileAnswer(broker.Open(question.open_file().root(),
                                    question.open_file().path()));
    }
    if (question.kind_case() == wire::Question::kDebugFile) {
      return FileAnswer(broker.Find(BuildId(question.debug_file())));
    }
    return AskStore(store, question);
  };
}

void SymbolizerClient::NoteArrival(const std::string& key) {
  std::lock_guard lock(mutex_);
  if (arrivals_.size() >= kMaxArrivals) arrivals_.clear();
  arrivals_[key] = ++last_arrival_;
}

uint64_t SymbolizerClient::LastArrivalFor(const std::string& key) const {
  std::lock_guard lock(mutex_);
  auto known = arrivals_.find(key);
  return known == arrivals_.end() ? 0 : known->second;
}

ModuleSymbols SymbolizerClient::NamesOf(Call call, Deadline deadline,
                                        size_t wanted) {
  call.can_outlive = true;
  Result<wire::Reply> reply = process_.Run(std::move(call), deadline);
  ModuleSymbols none;
  if (!reply.ok()) {
    none.problem = reply.status().message();
    return none;
  }
  Result<ModuleSymbols> names =
      reply->has_names() ? FromWire(std::move(*reply->mutable_names()), wanted)
                         : NoReply();
  if (names.ok()) return std::move(*names);
  none.problem = names.status().message();
  return none;
}

ModuleSymbols SymbolizerClient::SymbolizeModule(
    const NamedFile& file, std::span<const ModuleAddr> addresses,
    DemangleStyle style, Deadline deadline) {
  Call call;
  wire::NameAddresses* names = call.request.mutable_name_addresses();
  names->set_key(file.key);
  names->set_path(file.path);
  names->set_root(file.root);
  names->mutable_addresses()->Reserve(static_cast<int>(addresses.size()));
  for (ModuleAddr address : addresses) names->add_addresses(address.value);
  names->set_style(static_cast<uint32_t>(style));
  names->set_last_arrival(LastArrivalFor(file.key));
  call.file = file.file;
  call.subject = file.key;
  call.answerer = AnswererOf(file, file.key);
  return NamesOf(std::move(call), deadline, addresses.size());
}

ModuleSymbols SymbolizerClient::SymbolizePerfMap(
    int map_file, const std::string& key, std::span<const uint64_t> addresses,
    DemangleStyle style, Deadline deadline) {
  return NameJitCode(map_file, false, key, addresses, style, deadline);
}

ModuleSymbols SymbolizerClient::SymbolizeJitDump(
    int dump_file, const std::string& key, std::span<const uint64_t> addresses,
    DemangleStyle style, Deadline deadline) {
  return NameJitCode(dump_file, true, key, addresses, style, deadline);
}

ModuleSymbols SymbolizerClient::NameJitCode(int file, bool is_jit_dump,
                                            const std::string& key,
                                            std::span<const uint64_t> addresses,
                                            DemangleStyle style,
                                            Deadline deadline) {
  Call call;
  wire::NameJitCode* names = call.request.mutable_name_jit_code();
  names->set_is_jit_dump(is_jit_dump);
  names->set_key(key);
  names->mutable_addresses()->Add(addresses.begin(), addresses.end());
  names->set_style(static_cast<uint32_t>(style));
  call.file = file;
  call.subject = key;
  return NamesOf(std::move(call), deadline, addresses.size());
}

SourceReport SymbolizerClient::Report(const std::string& key) {
  Call call;
  call.request.mutable_report()->set_key(key);
  call.request.mutable_report()->set_last_arrival(LastArrivalFor(key));
  call.can_outlive = true;
  Result<wire::Reply> reply = process_.Run(std::move(call), After(kReadTime));
  if (!reply.ok() || !reply->has_sources()) return {};
  return FromWire(reply->sources()).symbols;
}

Result<Examination> SymbolizerClient::Examine(const NamedFile& file) {
  Call call;
  wire::Examine* examine = call.request.mutable_examine();
  examine->set_path(file.path);
  examine->set_root(file.root);
  call.file = file.file;
  call.subject = file.key;
  call.answerer = AnswererOf(file, "");
  call.can_outlive = true;
  ASSIGN_OR_RETURN(wire::Reply reply,
                   process_.Run(std::move(call), After(kReadTime)));
  if (!reply.has_sources()) return NoReply();
  return FromWire(reply.sources());
}

void SymbolizerClient::SaveNames(bool all) {
  Call call;
  call.request.mutable_save_names()->set_all(all);
  call.answerer = AnswererOf(NamedFile(), "");
  call.can_outlive = true;
  Status status = process_.Run(std::move(call), After(kReadTime)).status();
  if (!status.ok()) spdlog::debug("symbol cache: {}", status.message());
}

}  // namespace pprofd
