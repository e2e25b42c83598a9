#include "daemon/server/pages.h"

#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <tuple>

#include "daemon/server/page_frame.h"
#include "daemon/server/text.h"

namespace pprofd {
namespace {

constexpr size_t kCommandLineBytes = 160;

void Sort(ProcessOrder order, std::vector<ProcessRow>* processes) {
  auto before = [order](const ProcessRow& a, const ProcessRow& b) {
    if (a.exited != b.exited) return b.exited;
    switch (order) {
      case ProcessOrder::kCpu:
        return std::tuple(-a.cpu_percent, a.pid) <
               std::tuple(-b.cpu_percent, b.pid);
      case ProcessOrder::kComm:
        return std::tie(a.comm, a.pid) < std::tie(b.comm, b.pid);
      case ProcessOrder::kPid:
        break;
    }
    return a.pid < b.pid;
  };
  std::stable_sort(processes->begin(), processes->end(), before);
}

// A name in brackets says that there is no command line, as ps does.
std::string CommandText(const ProcessRow& process) {
  if (process.cmdline.empty()) return "[" + process.comm + "]";
  return process.cmdline;
}

std::string ListRow(const ProcessRow& process) {
  std::string note = process.exited             ? " <em>exited</em>"
                     : process.is_kernel_thread ? " <em>kernel</em>"
                                                : "";
  return fmt::format(
      "<tr id='pid={0}'><td class='n'><a href='/debug/pprof/?pid={0}'>{0}</a>"
      "</td><td>{1}{2}</td><td class='n'>{3:.1f}</td><td class='n'>{4}</td>"
      "<td class='cmd'>{5}</td></tr>\n",
      process.pid, HtmlText(process.comm), note, process.cpu_percent,
      process.threads,
      HtmlText(Shortened(CommandText(process), kCommandLineBytes)));
}

// Keeps a hostile Host header inside the quotes of the shell command shown.
std::string ShellSafe(std::string_view host) {
  std::string safe;
  for (char c : host) {
    bool is_plain = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
                    (c >= 'A' && c <= 'Z') || c == '.' || c == ':' ||
                    c == '-' || c == '_' || c == '[' || c == ']';
    if (is_plain) safe += c;
  }
  return safe;
}

std::string CommandBox(std::string_view host_header, std::string_view path) {
  return HtmlText(
      fmt::format("go tool pprof 'http://{}{}'", ShellSafe(host_header), path));
}

double Percent(double part, double whole) {
  return whole > 0 ? 100 * part / whole : 0;
}

std::string CounterLines(const std::vector<NamedCount>& counters) {
  std::string text;
  for (const NamedCount& counter : counters) {
    text += fmt::format("{} {}", OneLine(counter.name), counter.value);
    if (!counter.text.empty()) text += "  # " + OneLine(counter.text);
    text += '\n';
  }
  return text;
}

// A row's links as list items below the table.
std::string LinkItems(const ProfileRow& row, std::string_view pid_prefix) {
  std::string html;
  for (const ProfileLink& link : row.links) {
    html += fmt::format("<li><a href='{}?{}{}'>{}</a></li>\n", row.name,
                        pid_prefix, link.parameters, HtmlText(link.text));
  }
  return html;
}

}  // namespace

std::optional<ProcessOrder> ParseProcessOrder(std::string_view text) {
  if (text.empty() || text == "cpu") return ProcessOrder::kCpu;
  if (text == "pid") return ProcessOrder::kPid;
  if (text == "comm") return ProcessOrder::kComm;
  return std::nullopt;
}

std::string ProcessListPage(std::vector<ProcessRow> processes,
                            ProcessOrder order, std::string_view host_header,
                            std::string_view host_description) {
  Sort(order, &processes);
  std::string html = PageHead("/debug/pprof/");
  html += fmt::format(
      "<h1>/debug/pprof/</h1>\n<p>{} processes. Choose one for its profiles, "
      "or profile the whole host:</p>\n<pre>{}</pre>\n"
      "<p><a href='/debug/pprof/profile?seconds=5'>next 5 seconds</a> · "
      "<a href='/debug/pprof/profile?from=-30s'>last 30 seconds</a> · "
      "<a href='/debug/pprof/?debug=1'>counters of the daemon</a></p>\n",
      processes.size(),
      CommandBox(host_header, "/debug/pprof/profile?seconds=5"));
  html +=
      "<table>\n<thead><tr><th class='n'><a href='?sort=pid'>PID</a></th>"
      "<th><a href='?sort=comm'>Name</a></th>"
      "<th class='n'><a href='?sort=cpu'>CPU %</a></th>"
      "<th class='n'>Threads</th><th>Command line</th></tr></thead>\n<tbody>\n";
  for (const ProcessRow& process : processes) html += ListRow(process);
  html += "</tbody>\n</table>\n";
  return html + PageEnd(host_description);
}

std::string ProcessPage(const ProcessRow& process,
                        const std::vector<ProfileRow>& rows, bool is_path_form,
                        std::string_view host_header,
                        std::string_view host_description) {
  std::string pid_pair =
      is_path_form ? "" : fmt::format("&pid={}", process.pid);
  std::string pid_prefix =
      is_path_form ? "" : fmt::format("pid={}&", process.pid);
  std::string html = PageHead("/debug/pprof/");
  html += fmt::format(
      "<p><a href='/debug/pprof/#pid={0}'>all processes</a></p>\n"
      "<h1>/debug/pprof/ of {1} ({0}){2}</h1>\n"
      "<p>pid {0} · comm <code>{1}</code> · exe <code>{3}</code> · "
      "{4} threads · {5:.1f} % CPU</p>\n<p class='cmd'>{6}</p>\n",
      process.pid, HtmlText(process.comm), process.exited ? ", exited" : "",
      HtmlText(process.exe.empty() ? "-" : process.exe), process.threads,
      process.cpu_percent, HtmlText(CommandText(process)));
  html += fmt::format(
      "<pre>{}</pre>\n",
      CommandBox(host_header,
                 fmt::format("/debug/pprof/profile?pid={}&{}", process.pid,
                             process.exited ? "from=-5m" : "seconds=5")));
  html +=
      "<p>Types of profiles available:</p>\n<table>\n"
      "<thead><tr><th>Count</th><th>Profile</th></tr></thead>\n";
  for (const ProfileRow& row : rows) {
    html += fmt::format(
        "<tr><td>{0}</td><td><a href='{1}?debug=1{2}'>{1}</a></td></tr>\n",
        row.count, row.name, pid_pair);
  }
  html += "</table>\n";
  for (const ProfileRow& row : rows) {
    html += fmt::format("<p><b>{}</b>: {}</p>\n", row.name, row.description);
    if (!row.links.empty()) {
      html += "<ul>\n" + LinkItems(row, pid_prefix) + "</ul>\n";
    }
  }
  html += fmt::format(
      "<p><a href='?debug=1{}'>how true are these profiles?"
      "</a></p>\n",
      pid_pair);
  return html + PageEnd(host_description);
}

std::string HostText(const std::vector<NamedCount>& counters,
                     std::string_view host_description) {
  return OneLine(host_description) + "\n\n" + CounterLines(counters);
}

std::string ProcessText(const ProcessRow& process,
                        const ProcessDiagnostics& diagnostics,
                        const std::vector<NamedCount>& counters,
                        std::string_view host_description) {
  std::string text = fmt::format(
      "pid {} comm={} exe={} threads={}{}\ncmdline {}\n\n", process.pid,
      OneLine(process.comm), OneLine(process.exe), process.threads,
      process.exited ? " exited" : "", OneLine(CommandText(process)));
  text += fmt::format(
      "CPU seconds sampled {:.2f}, measured (utime+stime) {:.2f}, "
      "coverage {:.1f} %\n",
      diagnostics.sampled_cpu_seconds, diagnostics.measured_cpu_seconds,
      Percent(diagnostics.sampled_cpu_seconds,
              diagnostics.measured_cpu_seconds));
  auto line = [&diagnostics](std::string_view name, uint64_t value) {
    return fmt::format("{} {} ({:.1f} %)\n", name, value,
                       Percent(static_cast<double>(value),
                               static_cast<double>(diagnostics.samples)));
  };
  text += fmt::format("samples {}\n", diagnostics.samples);
  text += line("complete", diagnostics.complete);
  text += line("mixed", diagnostics.mixed);
  text += line("truncated", diagnostics.truncated);
  for (const NamedCount& reason : diagnostics.reasons) {
    text += "  " + line(OneLine(reason.name), reason.value);
  }
  return text + "\n" + HostText(counters, host_description);
}

}  // namespace pprofd
