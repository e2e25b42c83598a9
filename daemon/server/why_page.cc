#include "daemon/server/why_page.h"

#include <spdlog/fmt/fmt.h>

#include "daemon/server/page_frame.h"
#include "daemon/server/text.h"

namespace pprofd {
namespace {

double Percent(uint64_t part, uint64_t whole) {
  return whole > 0
             ? 100 * static_cast<double>(part) / static_cast<double>(whole)
             : 0;
}

std::string Joined(const std::vector<std::string>& texts) {
  std::string joined;
  for (const std::string& text : texts) {
    joined += (joined.empty() ? "" : ", ") + text;
  }
  return joined;
}

std::string Problem(const std::string& problem) {
  return problem.empty()
             ? ""
             : fmt::format("<p class='bad'>{}</p>\n", HtmlText(problem));
}

std::string AdviceHtml(const std::vector<Advice>& advice) {
  std::string html;
  for (const Advice& item : advice) {
    html += fmt::format("<p>→ {}</p>\n", HtmlText(item.text));
    if (!item.command.empty()) {
      html += fmt::format("<pre>{}</pre>\n", HtmlText(item.command));
    }
  }
  return html;
}

std::string List(const std::vector<std::string>& items) {
  if (items.empty()) return "";
  std::string html = "<ul class='dim'>\n";
  for (const std::string& item : items) {
    html += fmt::format("<li>{}</li>\n", HtmlText(item));
  }
  return html + "</ul>\n";
}

std::string SourcesText(const UnwindFacts& unwind) {
  std::vector<std::string> sources;
  auto add = [&sources](uint64_t count, std::string_view what) {
    if (count > 0) sources.push_back(fmt::format("{} {}", count, what));
  };
  add(unwind.eh_frame_functions, "functions in .eh_frame");
  add(unwind.debug_frame_functions, "functions in .debug_frame");
  add(unwind.go_functions, "functions in Go's own table");
  add(unwind.signal_trampolines, "signal trampolines");
  if (sources.empty()) return "no unwind information in the file";
  std::string text = Joined(sources);
  if (unwind.skipped_records > 0) {
    text +=
        fmt::format("; {} records are not understood", unwind.skipped_records);
  }
  return text;
}

std::string BuiltText(const UnwindFacts& unwind) {
  std::string text = fmt::format(
      "{} rows from {}; they cover {:.1f} % of its executable segments",
      unwind.rows, SourcesText(unwind),
      Percent(unwind.covered_bytes, unwind.code_bytes));
  if (!unwind.shared_with.empty()) {
    text += "; shared with " + Joined(unwind.shared_with);
  }
  if (unwind.shared_left_out > 0) {
    text +=
        fmt::format("; shared with {} further files", unwind.shared_left_out);
  }
  return text;
}

// In plain text: the caller escapes.
std::string UnwindText(const UnwindFacts& unwind) {
  switch (unwind.state) {
    case UnwindFacts::State::kUnknown:
      return unwind.problem;
    case UnwindFacts::State::kRefused:
      return "refused: " + unwind.problem;
    case UnwindFacts::State::kBuilt:
      return unwind.rows == 0 ? "none: " + SourcesText(unwind)
                              : BuiltText(unwind);
    case UnwindFacts::State::kNotBuilt:
      break;
  }
  return "not built: no sample has asked for them, or not since they were "
         "evicted; " +
         (unwind.problem.empty() ? SourcesText(unwind) : unwind.problem);
}

std::string NamesText(const SymbolFacts& symbols) {
  if (!symbols.is_known) return "not known: " + symbols.problem;
  std::vector<std::string> sources;
  if (symbols.has_dwarf) sources.emplace_back("DWARF");
  if (symbols.has_go_table) sources.emplace_back("Go's own table");
  if (symbols.has_symtab) sources.emplace_back(".symtab");
  if (symbols.has_dynsym) sources.emplace_back(".dynsym");
  std::string text = sources.empty() ? "none" : Joined(sources);
  if (!symbols.is_in_use) {
    text += "; no profile has asked for its names yet";
  }
  return text;
}

std::string StacksHtml(const StackFacts& stacks) {
  std::string html = fmt::format(
      "<section>\n<h2>How its stacks ended</h2>\n<p>{} samples in {:.0f} s of "
      "history: {} complete, {} complete with the help of frame pointers, {} "
      "truncated, {} without a user half.</p>\n",
      stacks.samples, stacks.seconds, stacks.complete, stacks.mixed,
      stacks.truncated, stacks.without_user);
  if (!stacks.cuts.empty()) {
    html +=
        "<table>\n<thead><tr><th class='n'>Samples</th><th>Truncated, because"
        "</th><th>At</th></tr></thead>\n";
    for (const StackCut& cut : stacks.cuts) {
      html +=
          fmt::format("<tr><td class='n'>{}</td><td>{}</td><td>{}</td></tr>\n",
                      cut.samples, HtmlText(cut.reason), HtmlText(cut.module));
    }
    html += "</table>\n";
  }
  if (stacks.cuts_left_out > 0) {
    html += fmt::format("<p>{} further rows are left out.</p>\n",
                        stacks.cuts_left_out);
  }
  return html + "</section>\n";
}

std::string ModuleHtml(const ModuleFacts& module) {
  std::string html =
      fmt::format("<section>\n<h2>{}{}</h2>\n", HtmlText(module.path),
                  module.is_deleted ? " <em>deleted</em>" : "");
  html += Problem(module.problem);
  html += fmt::format(
      "<table>\n<tr><th>Samples through it</th><td>{}{}</td></tr>\n"
      "<tr><th>Build ID</th><td><code>{}</code></td></tr>\n"
      "<tr><th>Unwind rows</th><td>{}</td></tr>\n"
      "<tr><th>Names</th><td>{}</td></tr>\n",
      module.samples,
      module.cut_samples > 0
          ? fmt::format(", of which {} ended here for want of unwind rows",
                        module.cut_samples)
          : "",
      HtmlText(module.build_id.empty() ? "none" : module.build_id),
      HtmlText(UnwindText(module.unwind)), HtmlText(NamesText(module.symbols)));
  if (!module.package.empty()) {
    html += fmt::format("<tr><th>Package</th><td>{}</td></tr>\n",
                        HtmlText(module.package));
  }
  if (!module.missing.empty()) {
    html += fmt::format("<tr><th>Missing</th><td class='bad'>{}</td></tr>\n",
                        HtmlText(Joined(module.missing)));
  }
  html +=
      "</table>\n" + AdviceHtml(module.advice) + List(module.symbols.attempts);
  return html + "</section>\n";
}

std::string JitHtml(const JitFacts& jit) {
  std::string html = fmt::format(
      "<section>\n<h2>Code without a file (just-in-time compiled)</h2>\n"
      "<p>{} executable mappings, {} KiB; {} samples passed through such "
      "code.</p>\n",
      jit.mappings, jit.bytes / 1024, jit.samples);
  if (jit.has_dump) {
    html +=
        fmt::format("<p>Names and lines: {}</p>\n", HtmlText(jit.dump_path));
  } else if (!jit.dump_problem.empty()) {
    html += fmt::format("<p>Its jitdump is not read: {}</p>\n",
                        HtmlText(jit.dump_problem));
  }
  if (jit.has_map) {
    html += fmt::format("<p>Names: {}</p>\n", HtmlText(jit.map_path));
  } else if (!jit.has_dump) {
    html += fmt::format("<p>No perf map: {}</p>\n", HtmlText(jit.problem));
  }
  html += AdviceHtml(jit.advice) + List(jit.attempts);
  return html + "</section>\n";
}

std::string HeapHtml(const HeapFacts& heap) {
  std::string html = "<section>\n<h2>Heap</h2>\n";
  if (heap.problem.empty()) {
    html += fmt::format("<p>Allocator: {}; {} functions to probe{}.</p>\n",
                        HtmlText(heap.allocators), heap.functions,
                        heap.is_stepped ? ", some single-stepped" : "");
  } else {
    html += fmt::format("<p>Allocations cannot be sampled: {}</p>\n",
                        HtmlText(heap.problem));
  }
  if (heap.has_rss) {
    html +=
        "<p>Without an allocator: <code>rss</code> shows what touches memory "
        "first.</p>\n";
  }
  return html + "</section>\n";
}

std::string KernelHtml(const KernelFacts& kernel) {
  std::string html = fmt::format(
      "<section>\n<h2>Kernel</h2>\n<p>Its stacks are walked by the kernel's "
      "own unwinder; names {}. kernel.kptr_restrict is {}.</p>\n",
      kernel.has_names ? "come from /proc/kallsyms, without lines"
                       : "<span class='bad'>are missing</span>",
      HtmlText(kernel.kptr_restrict.empty() ? "not known"
                                            : kernel.kptr_restrict));
  html += AdviceHtml(kernel.advice) + List(kernel.attempts);
  return html + "</section>\n";
}

std::string ModulesHtml(const ProcessExplanation& explanation) {
  std::string html = fmt::format(
      "<section>\n<h2>Executable files</h2>\n<p>{} shown, those with most "
      "samples first{}.</p>\n",
      explanation.modules.size(),
      explanation.modules_left_out > 0
          ? fmt::format("; {} are left out", explanation.modules_left_out)
          : "");
  html += Problem(explanation.modules_problem);
  if (!explanation.system.empty()) {
    html += fmt::format("<p>Its root directory is that of {}.</p>\n",
                        HtmlText(explanation.system));
  } else {
    html += fmt::format("<p>Its distribution is not known: {}.</p>\n",
                        HtmlText(explanation.system_problem));
  }
  if (!explanation.package_problem.empty() &&
      explanation.package_problem != explanation.system_problem) {
    html += fmt::format("<p>Packages may be missing below: {}.</p>\n",
                        HtmlText(explanation.package_problem));
  }
  html += "</section>\n";
  for (const ModuleFacts& module : explanation.modules) {
    html += ModuleHtml(module);
  }
  return html;
}

}  // namespace

std::string WhyPage(const ProcessRow& process,
                    const ProcessExplanation& explanation, bool is_path_form,
                    std::string_view host_description) {
  std::string pid_query =
      is_path_form ? "" : fmt::format("?pid={}", process.pid);
  std::string pid_pair =
      is_path_form ? "" : fmt::format("&pid={}", process.pid);
  std::string html = PageHead("/debug/pprof/why");
  html += fmt::format(
      "<p><a href='/debug/pprof/#pid={0}'>all processes</a> · "
      "<a href='./{3}'>profiles of {0}</a> · "
      "<a href='why?format=json{4}'>JSON</a></p>\n"
      "<h1>Why the profiles of {1} ({0}){2} look as they do</h1>\n",
      process.pid, HtmlText(process.comm), explanation.exited ? ", exited" : "",
      pid_query, pid_pair);
  if (explanation.is_kernel_thread) {
    html += "<p>A kernel thread: it has no files and no user half.</p>\n";
  }
  html += StacksHtml(explanation.stacks);
  if (!explanation.is_kernel_thread) {
    html += ModulesHtml(explanation) + JitHtml(explanation.jit) +
            HeapHtml(explanation.heap);
  }
  html += KernelHtml(explanation.kernel);
  return html + PageEnd(host_description);
}

}  // namespace pprofd
