#include "daemon/server/json_writer.h"
#include "daemon/server/why_page.h"

namespace pprofd {
namespace {

std::string_view StateName(UnwindFacts::State state) {
  switch (state) {
    case UnwindFacts::State::kUnknown:
      return "unknown";
    case UnwindFacts::State::kNotBuilt:
      return "not_built";
    case UnwindFacts::State::kBuilt:
      return "built";
    case UnwindFacts::State::kRefused:
      return "refused";
  }
  return "unknown";
}

void WriteAdvice(const std::vector<Advice>& advice, JsonWriter* json) {
  json->Open("advice", '[');
  for (const Advice& item : advice) {
    json->Open("", '{');
    json->Text("text", item.text);
    json->Text("command", item.command);
    json->Close();
  }
  json->Close();
}

void WriteStacks(const StackFacts& stacks, JsonWriter* json) {
  json->Open("stacks", '{');
  json->Number("history_seconds", stacks.seconds);
  json->Number("samples", stacks.samples);
  json->Number("complete", stacks.complete);
  json->Number("mixed", stacks.mixed);
  json->Number("truncated", stacks.truncated);
  json->Number("without_user", stacks.without_user);
  json->Open("cuts", '[');
  for (const StackCut& cut : stacks.cuts) {
    json->Open("", '{');
    json->Text("reason", cut.reason);
    json->Text("module", cut.module);
    json->Number("samples", cut.samples);
    json->Close();
  }
  json->Close();
  json->Number("cuts_left_out", stacks.cuts_left_out);
  json->Close();
}

void WriteUnwind(const UnwindFacts& unwind, JsonWriter* json) {
  json->Open("unwind", '{');
  json->Text("state", StateName(unwind.state));
  json->Text("problem", unwind.problem);
  json->Number("rows", unwind.rows);
  json->Number("eh_frame_functions", unwind.eh_frame_functions);
  json->Number("debug_frame_functions", unwind.debug_frame_functions);
  json->Number("go_functions", unwind.go_functions);
  json->Number("signal_trampolines", unwind.signal_trampolines);
  json->Number("skipped_records", unwind.skipped_records);
  json->Number("covered_bytes", unwind.covered_bytes);
  json->Number("code_bytes", unwind.code_bytes);
  json->Texts("shared_with", unwind.shared_with);
  json->Number("shared_left_out", unwind.shared_left_out);
  json->Close();
}

void WriteSymbols(const SymbolFacts& symbols, JsonWriter* json) {
  json->Open("symbols", '{');
  json->Bool("known", symbols.is_known);
  json->Bool("in_use", symbols.is_in_use);
  json->Text("problem", symbols.problem);
  json->Bool("dwarf", symbols.has_dwarf);
  json->Bool("symtab", symbols.has_symtab);
  json->Bool("dynsym", symbols.has_dynsym);
  json->Bool("go_table", symbols.has_go_table);
  json->Texts("attempts", symbols.attempts);
  json->Close();
}

void WriteModule(const ModuleFacts& module, JsonWriter* json) {
  json->Open("", '{');
  json->Text("path", module.path);
  json->Text("build_id", module.build_id);
  json->Bool("deleted", module.is_deleted);
  json->Text("problem", module.problem);
  json->Number("samples", module.samples);
  json->Number("cut_samples", module.cut_samples);
  WriteUnwind(module.unwind, json);
  WriteSymbols(module.symbols, json);
  json->Text("package", module.package);
  json->Texts("missing", module.missing);
  WriteAdvice(module.advice, json);
  json->Close();
}

void WriteJit(const JitFacts& jit, JsonWriter* json) {
  json->Open("jit", '{');
  json->Number("mappings", jit.mappings);
  json->Number("bytes", jit.bytes);
  json->Number("samples", jit.samples);
  json->Bool("has_map", jit.has_map);
  json->Text("map_path", jit.map_path);
  json->Text("problem", jit.problem);
  json->Bool("has_dump", jit.has_dump);
  json->Text("dump_path", jit.dump_path);
  json->Text("dump_problem", jit.dump_problem);
  json->Texts("attempts", jit.attempts);
  WriteAdvice(jit.advice, json);
  json->Close();
}

void WriteHeap(const HeapFacts& heap, JsonWriter* json) {
  json->Open("heap", '{');
  json->Text("allocators", heap.allocators);
  json->Number("functions", heap.functions);
  json->Bool("single_stepped", heap.is_stepped);
  json->Text("problem", heap.problem);
  json->Bool("has_rss", heap.has_rss);
  json->Close();
}

void WriteKernel(const KernelFacts& kernel, JsonWriter* json) {
  json->Open("kernel", '{');
  json->Bool("has_names", kernel.has_names);
  json->Texts("attempts", kernel.attempts);
  json->Text("kptr_restrict", kernel.kptr_restrict);
  WriteAdvice(kernel.advice, json);
  json->Close();
}

}  // namespace

std::string WhyJson(const ProcessRow& process,
                    const ProcessExplanation& explanation) {
  JsonWriter json;
  json.Open("", '{');
  json.Number("pid", static_cast<uint64_t>(process.pid));
  json.Text("comm", process.comm);
  json.Text("exe", process.exe);
  json.Bool("kernel_thread", explanation.is_kernel_thread);
  json.Bool("exited", explanation.exited);
  json.Text("system", explanation.system);
  json.Text("system_problem", explanation.system_problem);
  json.Text("package_problem", explanation.package_problem);
  WriteStacks(explanation.stacks, &json);
  json.Open("modules", '[');
  for (const ModuleFacts& module : explanation.modules) {
    WriteModule(module, &json);
  }
  json.Close();
  json.Number("modules_left_out", explanation.modules_left_out);
  json.Text("modules_problem", explanation.modules_problem);
  WriteJit(explanation.jit, &json);
  WriteHeap(explanation.heap, &json);
  WriteKernel(explanation.kernel, &json);
  json.Close();
  return std::move(json).Take();
}

}  // namespace pprofd
